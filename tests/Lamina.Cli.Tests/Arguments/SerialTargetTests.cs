using Lamina.Cli.Arguments;

namespace Lamina.Cli.Tests.Arguments;

public sealed class SerialTargetTests
{
    [Fact]
    public void Accepts_the_known_targets()
    {
        Assert.Equal(SerialTargetKind.Default, SerialTarget.Parse(null).Kind);
        Assert.Equal(SerialTargetKind.StandardStreams, SerialTarget.Parse("stdio").Kind);
        Assert.Equal(SerialTargetKind.Null, SerialTarget.Parse("null").Kind);
        Assert.Equal(new SerialTarget(SerialTargetKind.File, "a=b"), SerialTarget.Parse("file=a=b"));
    }

    [Theory]
    [InlineData("stdoi", "Did you mean 'stdio'?")]
    [InlineData("tcp:1", "Accepted: stdio, null, file=PATH.")]
    [InlineData("file", "names no file")]
    [InlineData("file=", "names no file")]
    public void Refuses_the_rest(string text, string reason)
    {
        Assert.Contains(reason, Assert.Throws<LaminaException>(() => SerialTarget.Parse(text)).Message, StringComparison.Ordinal);
    }
}
