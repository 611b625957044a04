// STRATA_ADDRESS_SANITIZED: whether the address sanitizer watches. GCC has a macro for it, clang a feature.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define STRATA_ADDRESS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STRATA_ADDRESS_SANITIZED 1
#endif
#endif
#if !defined(STRATA_ADDRESS_SANITIZED)
#define STRATA_ADDRESS_SANITIZED 0
#endif
