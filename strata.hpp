// Everything that a program needs.
#pragma once

#include "strata/framework/error.hpp"
#include "strata/framework/initializer.hpp"
#include "strata/framework/instruction_set.hpp"
#include "strata/framework/layer.hpp"
#include "strata/framework/memory.hpp"
#include "strata/framework/parallel.hpp"
#include "strata/framework/parameter.hpp"
#include "strata/framework/random.hpp"
#include "strata/framework/sequential.hpp"
#include "strata/framework/tensor.hpp"
#include "strata/layers/dropout.hpp"
#include "strata/layers/dropout_2d.hpp"
#include "strata/layers/flatten.hpp"
#include "strata/layers/linear.hpp"
#include "strata/layers/max_pool_2d.hpp"
#include "strata/layers/relu.hpp"
