using System.Runtime.InteropServices;

namespace Lamina.Interop.Processors;

/// <summary>The host's monotonic clock for code that is emitted.</summary>
public static unsafe class MonotonicClock
{
    /// <summary>CLOCK_MONOTONIC (clock_gettime(2)).</summary>
    public const int Number = 1;

    /// <summary>
    /// The C library's <c>clock_gettime</c>, to be called by the C calling convention with the clock's number and a place for 16 bytes: seconds and nanoseconds. It does not fail for this clock. Most hosts answer without a system
    /// call.
    /// </summary>
    public static delegate* unmanaged<int, long*, int> Read { get; } = (delegate* unmanaged<int, long*, int>)NativeLibrary.GetExport(NativeLibrary.GetMainProgramHandle(), "clock_gettime");
}
