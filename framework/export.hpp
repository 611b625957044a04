// What a program sees of the shared library, where everything else is hidden.
#pragma once

/// Precedes the name of a namespace in a public header: what is declared in it is exported. Function
/// templates need it too: their definitions, in a namespace without it, would hide them again.
#define STRATA_EXPORT [[gnu::visibility("default")]]
