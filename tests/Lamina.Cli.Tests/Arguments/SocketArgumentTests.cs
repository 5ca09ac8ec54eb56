using Lamina.Cli.Arguments;
using Lamina.Vmm;

namespace Lamina.Cli.Tests.Arguments;

public sealed class SocketArgumentTests
{
    [Fact]
    public void AnAddressAndAPathAreTaken()
    {
        Assert.Equal(new SocketSettings { Address = 3, Path = "./guest,sock" }, SocketArgument.Parse("3,./guest,sock"));
        Assert.Equal(0xffff_fffeUL, SocketArgument.Parse("4294967294,x").Address);
    }

    [Theory]
    [InlineData("3")]
    [InlineData("3,")]
    [InlineData(",x")]
    [InlineData("2,x")]
    [InlineData("4294967295,x")]
    [InlineData("-3,x")]
    [InlineData("three,x")]
    public void AnythingElseIsRefused(string text) => Assert.Contains(text, Assert.Throws<LaminaException>(() => SocketArgument.Parse(text)).Message, StringComparison.Ordinal);
}
