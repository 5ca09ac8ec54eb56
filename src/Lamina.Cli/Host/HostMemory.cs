using System.Globalization;

namespace Lamina.Cli.Host;

/// <summary>This host's RAM.</summary>
internal static class HostMemory
{
    /// <summary>All of it in bytes, or 0 if the host does not say.</summary>
    public static ulong Total { get; } = ulong.TryParse(
        HostFiles.ReadField("/proc/meminfo", "MemTotal").Split(' ')[0],
        CultureInfo.InvariantCulture,
        out ulong kibibytes)
        ? kibibytes << 10
        : 0;
}
