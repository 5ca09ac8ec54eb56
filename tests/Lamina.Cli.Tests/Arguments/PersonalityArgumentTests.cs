using Lamina.Cli.Arguments;
using Lamina.Kvm;
using Lamina.Vmm;

namespace Lamina.Cli.Tests.Arguments;

public sealed class PersonalityArgumentTests
{
    [Theory]
    [InlineData(PersonalityKind.HyperV, KvmControllers.Auto, KvmControllers.Off)]
    [InlineData(PersonalityKind.Xen, KvmControllers.Off, KvmControllers.Off)]
    [InlineData(PersonalityKind.VMware, KvmControllers.Split, KvmControllers.Split)]
    [InlineData(PersonalityKind.Kvm, KvmControllers.On, KvmControllers.On)]
    public void TheControllersAreWhereTheHypervisorNeedsThem(PersonalityKind personality, KvmControllers said, KvmControllers used)
    {
        Assert.Equal(used, PersonalityArgument.CheckControllers(personality, said, clock: false));
    }

    [Fact]
    public void WhatDoesNotGoTogetherIsRefused()
    {
        Assert.Contains("--kernel-irqchip", Assert.Throws<LaminaException>(() => PersonalityArgument.CheckControllers(PersonalityKind.HyperV, KvmControllers.Split, clock: false)).Message, StringComparison.Ordinal);
        Assert.Contains("--kvmclock", Assert.Throws<LaminaException>(() => PersonalityArgument.CheckControllers(PersonalityKind.VMware, KvmControllers.Auto, clock: true)).Message, StringComparison.Ordinal);
        Assert.Equal(KvmControllers.Auto, PersonalityArgument.CheckControllers(PersonalityKind.Kvm, KvmControllers.Auto, clock: true));
    }
}
