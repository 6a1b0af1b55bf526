// SPDX-License-Identifier: Apache-2.0
// All there is to write coroutines with.
#pragma once

#include "base/coroutine.hpp"
#include "base/one_shot.hpp"
#include "base/task_scope.hpp"
