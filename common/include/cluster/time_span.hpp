#pragma once

// Example:
//
//   void wait_for(cluster::TimeSpan span);  // takes any duration
//   wait_for(std::chrono::hours(1));
//   wait_for(std::chrono::milliseconds::max());  // 292 years: clamped, so nothing overflows

#include <chrono>

namespace cluster {

// A length of time as a parameter. It is made of any std::chrono duration. One that is too long for
// nanoseconds, such as milliseconds::max(), becomes the longest that they can tell, 292 years. (The
// conversion of std::chrono would overflow, and the result be in the past.)
class TimeSpan {
 public:
  template <typename Rep, typename Period>
  constexpr TimeSpan(std::chrono::duration<Rep, Period> span)  // NOLINT(*-explicit-*): a parameter
      : value_(clamped(span)) {}

  constexpr operator std::chrono::nanoseconds() const {  // NOLINT(*-explicit-*)
    return value_;
  }

 private:
  template <typename Rep, typename Period>
  static constexpr std::chrono::nanoseconds clamped(std::chrono::duration<Rep, Period> span) {
    using std::chrono::nanoseconds;
    using Exact = std::chrono::duration<long double, std::nano>;
    return Exact(span) >= Exact(nanoseconds::max()) ? nanoseconds::max()
           : Exact(span) <= Exact(nanoseconds::min())
               ? nanoseconds::min()
               : std::chrono::duration_cast<nanoseconds>(span);
  }

  std::chrono::nanoseconds value_;
};

}  // namespace cluster
