// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace sluice {

template <typename Signature>
class UniqueFunction;

/// A callable that may own move-only things (std::move_only_function comes with C++23).
template <typename R, typename... Args>
class UniqueFunction<R(Args...)> {
public:
    UniqueFunction() noexcept = default;

    template <typename F>

    requires(!std::same_as<std::remove_cvref_t<F>, UniqueFunction> && std::is_invocable_r_v<R, F&, Args...>)
        UniqueFunction(F&& f) // NOLINT(google-explicit-constructor): stands where a lambda is written
        : target_{std::make_unique<Target<std::decay_t<F>>>(std::forward<F>(f))}
    {}

    [[nodiscard]] explicit operator bool() const noexcept { return target_ != nullptr; }

    R operator()(Args... args) { return target_->call(std::forward<Args>(args)...); }

private:
    struct Callable {
        Callable() = default;
        Callable(const Callable&) = delete;
        Callable& operator=(const Callable&) = delete;
        virtual ~Callable() = default;
        virtual R call(Args... args) = 0;
    };

    template <typename F>
    struct Target final : Callable {
        explicit Target(F&& f) : function{std::move(f)} {}

        explicit Target(const F& f) : function{f} {}

        R call(Args... args) override { return function(std::forward<Args>(args)...); }

        F function;
    };

    std::unique_ptr<Callable> target_;
};

} // namespace sluice
