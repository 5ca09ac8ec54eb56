using Lamina.Cli.Arguments;

namespace Lamina.Cli.Tests.Arguments;

public sealed class CommandArgumentsTests
{
    [Fact]
    public void Splits_at_the_first_double_dash()
    {
        (string[] own, string[]? command) = CommandArguments.Split(["run", "debian", "--", "ls", "--", "-l"]);
        Assert.Equal(["run", "debian"], own);
        Assert.Equal(["ls", "--", "-l"], command!);
        Assert.Null(CommandArguments.Split(["run", "debian"]).Command);
        Assert.Empty(CommandArguments.Split(["run", "--"]).Command!);
    }

    [Fact]
    public void Takes_the_last_strings_byte_for_byte()
    {
        byte[] strings = [.. "lamina\0run\0--\0a b\0"u8, 0xff, 0xfe, 0, 0];
        IReadOnlyList<ReadOnlyMemory<byte>> last = CommandArguments.TakeLast(strings, 3);
        Assert.Equal("a b"u8.ToArray(), last[0].ToArray());
        Assert.Equal([0xff, 0xfe], last[1].ToArray());
        Assert.Equal([], last[2].ToArray());
        Assert.Equal(6, CommandArguments.TakeLast(strings, 9).Count);
    }
}
