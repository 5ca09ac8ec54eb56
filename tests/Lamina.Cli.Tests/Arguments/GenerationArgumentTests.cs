using Lamina.Cli.Arguments;
using Lamina.Vmm;

namespace Lamina.Cli.Tests.Arguments;

public sealed class GenerationArgumentTests
{
    [Theory]
    [InlineData(null, PersonalityKind.Xen, 1)]
    [InlineData("1", PersonalityKind.HyperV, 1)]
    [InlineData("2", PersonalityKind.HyperV, 2)]
    public void TheShapeIsThePcsUnlessItIsSaid(string? text, PersonalityKind personality, int generation) => Assert.Equal(generation, GenerationArgument.Parse(text, personality));

    [Theory]
    [InlineData("2", PersonalityKind.Kvm, "Add --personality hyperv")]
    [InlineData("2", PersonalityKind.VMware, "Add --personality hyperv")]
    [InlineData("3", PersonalityKind.HyperV, "--generation '3'")]
    [InlineData("two", PersonalityKind.HyperV, "--generation 'two'")]
    [InlineData("", PersonalityKind.HyperV, "--generation ''")]
    public void WhatIsNoShapeOfThatHypervisorIsRefused(string text, PersonalityKind personality, string message) =>
        Assert.Contains(message, Assert.Throws<LaminaException>(() => GenerationArgument.Parse(text, personality)).Message, StringComparison.Ordinal);

    [Fact]
    public void WhatNeedsAPcIsNamed()
    {
        RunOptions machine = new() { Personality = PersonalityKind.HyperV, Generation = 2 };
        GenerationArgument.Check(machine, saysTransport: false);
        (RunOptions Options, bool SaysTransport, string Option)[] cases =
        [
            (machine, true, "--virtio"),
            (machine with { Shares = [ShareArgument.Parse("/:/mnt")] }, false, "--share"),
            (machine with { UsesVirtioConsole = true }, false, "--console virtio"),
            (machine with { HasTestDevices = true }, false, "--test-devices"),
        ];
        foreach ((RunOptions options, bool saysTransport, string option) in cases)
        {
            Assert.StartsWith($"{option} needs a PC", Assert.Throws<LaminaException>(() => GenerationArgument.Check(options, saysTransport)).Message, StringComparison.Ordinal);
            GenerationArgument.Check(options with { Generation = 1 }, saysTransport);
        }
    }

    [Theory]
    [InlineData("debian", null, false)]
    [InlineData("debian-small", null, false)]
    [InlineData("debian:trixie", null, false)]
    [InlineData("debian-generic", null, true)]
    [InlineData("debian", "vmlinuz", true)]
    [InlineData(null, "vmlinuz", true)]
    public void AScreenNeedsAKernelThatHasADriverForIt(string? image, string? kernel, bool isAccepted)
    {
        RunOptions machine = new() { Personality = PersonalityKind.HyperV, Generation = 2, Image = image, Kernel = kernel };
        GenerationArgument.Check(machine, saysTransport: false);
        RunOptions withScreen = machine with { Screen = new ScreenSettings() };
        GenerationArgument.Check(withScreen with { Generation = 1 }, saysTransport: false);
        if (isAccepted)
        {
            GenerationArgument.Check(withScreen, saysTransport: false);
            return;
        }

        Assert.StartsWith($"the kernel of the image '{image}' has the older driver", Assert.Throws<LaminaException>(() => GenerationArgument.Check(withScreen, saysTransport: false)).Message, StringComparison.Ordinal);
    }
}
