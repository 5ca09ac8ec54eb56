using Lamina.Cli.Arguments;
using Lamina.Machine.Limits;

namespace Lamina.Cli.Tests.Arguments;

public sealed class LimitArgumentTests
{
    [Fact]
    public void DisksTakeLimits()
    {
        Assert.Equal(IoLimits.None, DiskArgument.Parse("a.img").Limits);
        Assert.Equal(
            new IoLimits { OperationsPerSecond = 1000, BytesPerSecond = 50 << 20, BurstMilliseconds = 2000 },
            DiskArgument.Parse("a.img,iops=1000,readonly,bps=50M,burst=2000").Limits);
    }

    [Fact]
    public void NetworksTakeLimits()
    {
        Assert.Equal(new IoLimits { OperationsPerSecond = 10, BytesPerSecond = 1000 }, NetworkArgument.Parse("user,pps=10,bps=1000", [])[0].Limits);
        Assert.Equal("tap0", NetworkArgument.Parse("tap=tap0,burst=1", [])[0].Name);
    }

    [Theory]
    [InlineData("a.img,iops=0")]
    [InlineData("a.img,iops=-1")]
    [InlineData("a.img,iops=many")]
    [InlineData("a.img,bps=0")]
    [InlineData("a.img,bps=x")]
    [InlineData("a.img,burst=0")]
    [InlineData("a.img,pps=1")]
    [InlineData("a.img,iops")]
    public void OtherValuesAreRefused(string text) => Assert.Throws<LaminaException>(() => DiskArgument.Parse(text));

    [Fact]
    public void ARunningMachinesDeviceTakesThemAlone()
    {
        Assert.Equal(IoLimits.None, LimitArgument.Parse("disk0", "none"));
        Assert.Equal(new IoLimits { OperationsPerSecond = 200, BytesPerSecond = 10 << 20 }, LimitArgument.Parse("disk1", "iops=200,bps=10M"));
        Assert.Equal(new IoLimits { OperationsPerSecond = 200, BurstMilliseconds = 5 }, LimitArgument.Parse("net0", "burst=5,pps=200"));
        Assert.Contains("Accepted: iops=N, bps=SIZE", Assert.Throws<LaminaException>(() => LimitArgument.Parse("disk0", "pps=1")).Message, StringComparison.Ordinal);
        Assert.Contains("limits nothing", Assert.Throws<LaminaException>(() => LimitArgument.Parse("disk0", "burst=1")).Message, StringComparison.Ordinal);
        Assert.Throws<LaminaException>(() => LimitArgument.Parse("disk0", "iops=0"));
        Assert.Throws<LaminaException>(() => LimitArgument.Parse("disk0", ""));
    }

    [Theory]
    [InlineData("user,iops=1")]
    [InlineData("none,pps=1")]
    [InlineData("user,pps")]
    public void OtherNetworksAreRefused(string text) => Assert.Throws<LaminaException>(() => NetworkArgument.Parse(text, []));
}
