using Lamina.Cli.Arguments;

namespace Lamina.Cli.Tests.Arguments;

/// <summary>How many pairs of queues a card gets.</summary>
public sealed class NetworkArgumentTests
{
    [Theory]
    [InlineData("user", 1)]
    [InlineData("user,queues=1", 1)]
    [InlineData("tap=tap0", 1)]
    [InlineData("tap=tap0,queues=4", 4)]
    [InlineData("bridge=br0,bps=1M,queues=8", 8)]
    public void PairsOfQueuesAreAsAskedFor(string text, int pairs) => Assert.Equal(pairs, NetworkArgument.Parse(text, [])[0].QueuePairs);

    [Theory]
    [InlineData("user,queues=2", "one stream")]
    [InlineData("tap=tap0,queues=0", "1 to 8")]
    [InlineData("tap=tap0,queues=9", "1 to 8")]
    [InlineData("tap=tap0,queues=-1", "1 to 8")]
    [InlineData("tap=tap0,queues=", "1 to 8")]
    [InlineData("tap=tap0,queues", "not known")]
    [InlineData("none,queues=1", "not known")]
    public void OtherNumbersAreRefused(string text, string reason)
    {
        LaminaException e = Assert.Throws<LaminaException>(() => NetworkArgument.Parse(text, []));
        Assert.Contains(reason, e.Message, StringComparison.Ordinal);
    }
}
