using Lamina.Cli.Images;

namespace Lamina.Cli.Tests.Images;

/// <summary>A kernel that sees Xen does not count the timer's ticks, as others do not by themselves; one that gets memory while it runs uses it.</summary>
public sealed class KernelOptionsTests
{
    [Theory]
    [InlineData("Disk, Xen", " no_timer_check")]
    [InlineData("Disk, VMware", "")]
    [InlineData("None", "")]
    [InlineData("Balloon, HyperV, HotAdd", " memhp_default_state=online")]
    public void KernelsAreToldWhatTheyCannotKnow(string hardware, string options) => Assert.Equal(options, KernelOptions.Select(Enum.Parse<GuestHardware>(hardware)));
}
