namespace Lamina.Cli.Images;

/// <summary>What the kernel of an image is told for the sake of the hypervisor that it sees.</summary>
internal static class KernelOptions
{
    /// <summary>The consoles: what the kernel says is on all, and what the first process says on the last.</summary>
    public static string SelectConsoles(GuestHardware hardware) => hardware.HasFlag(GuestHardware.Screen) ? "console=tty0 console=ttyS0,115200" : "console=ttyS0,115200";

    /// <summary>
    /// The options, with a space before each. Under KVM, Hyper-V and VMware a kernel does not count the PIT's ticks while it spins for 40 ms, because a host with little time for it gives too few; under Xen it does, and
    /// panics. Its screen has 2 MiB of memory unless it is told otherwise; its size comes from the screen. Memory that is added is left unused until somebody says that it may be used: the kernel is told so at the start.
    /// </summary>
    public static string Select(GuestHardware hardware) => SelectXen(hardware) + (hardware.HasFlag(GuestHardware.HotAdd) ? " memhp_default_state=online" : "");

    private static string SelectXen(GuestHardware hardware) =>
        hardware.HasFlag(GuestHardware.Xen) ? hardware.HasFlag(GuestHardware.Screen) ? " no_timer_check xen_fbfront.video=4,800,600" : " no_timer_check" : "";
}
