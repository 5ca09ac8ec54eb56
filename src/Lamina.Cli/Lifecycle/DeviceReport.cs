using Lamina.Machine.Limits;
using Lamina.Management.Protocol;

namespace Lamina.Cli.Lifecycle;

/// <summary>Limits of devices as the control protocol has them.</summary>
internal static class DeviceReport
{
    /// <summary>The limits; null if there are none.</summary>
    public static DeviceLimits? FindLimits(IoLimits limits) => limits is { OperationsPerSecond: 0, BytesPerSecond: 0 } ? null : CreateLimits(limits);

    /// <summary>The limits.</summary>
    public static DeviceLimits CreateLimits(IoLimits limits) => new()
    {
        OperationsPerSecond = limits.OperationsPerSecond == 0 ? null : limits.OperationsPerSecond,
        BytesPerSecond = limits.BytesPerSecond == 0 ? null : limits.BytesPerSecond,
        BurstMilliseconds = limits.BurstMilliseconds,
    };
}
