using Lamina.Cli.Running;

namespace Lamina.Cli.Tests.Running;

public sealed class InputTests
{
    [Fact]
    public void Typed_input_waits_for_the_shell_and_ends_with_end_of_file()
    {
        Latch ended = new();
        FakePort port = new();
        port.OnWrite = text =>
        {
            if (text == "\u0004")
            {
                ended.Set();
            }
        };
        TypedInput input = new(new FakeSource("uname\n", "id\n"), port, ended);
        input.OnReady();
        input.RunForShell();
        Assert.Equal("uname\nid\n\u0004", port.Typed);
    }

    [Fact]
    public void An_unfinished_last_line_is_finished()
    {
        Latch ended = new();
        FakePort port = new();
        port.OnWrite = text =>
        {
            if (text == "\u0004")
            {
                ended.Set();
            }
        };
        TypedInput input = new(new FakeSource("uname"), port, ended);
        input.OnReady();
        input.RunForShell();
        Assert.Equal("uname\n\u0004", port.Typed);
    }

    [Theory]
    [InlineData("", "")]
    [InlineData("abc", "abc\u0004")]
    public void An_unknown_kernel_gets_the_end_only_after_input(string given, string typed)
    {
        FakePort port = new();
        TypedInput input = new(given.Length == 0 ? new FakeSource() : new FakeSource(given), port, new Latch());
        input.RunForKernel();
        Assert.Equal(typed, port.Typed);
    }

    [Fact]
    public void Long_lines_are_handed_over_in_pieces()
    {
        LineBreaker lines = new();
        List<byte> output = [];
        lines.Process([.. Enumerable.Repeat((byte)'a', 9000), (byte)'\n', .. Enumerable.Repeat((byte)'b', 3999), (byte)'\n'], output);
        int longest = string.Join("", output.Select(b => (char)b)).Split('\n', '\u0004').Max(piece => piece.Length);
        Assert.Equal(4000, longest);
        Assert.Equal(2, output.Count(b => b == 4));
        Assert.Equal(9000 + 3999 + 2, output.Count(b => b != 4));
        Assert.True(lines.AtLineStart);
    }

    [Fact]
    public void Keys_wait_until_the_guest_is_ready()
    {
        FakePort port = new();
        int quits = 0;
        TerminalInput input = new(new FakeSource("ls\r", "\u0001h", "pwd\r\u0001x"), port, () => quits++, () => { }, new EscapeKeys());
        input.Run();
        Assert.Equal("", port.Typed);
        input.OnReady();
        Assert.Equal("ls\rpwd\r", port.Typed);
        Assert.Equal(1, quits);
    }

    [Fact]
    public void A_terminal_that_goes_away_ends_the_machine()
    {
        int quits = 0;
        new TerminalInput(new FakeSource(), new FakePort(), () => quits++, () => { }, new EscapeKeys()).Run();
        Assert.Equal(1, quits);
    }

    [Fact]
    public void A_commands_input_is_sent_a_block_for_each_that_was_taken()
    {
        FakePort port = new();
        CommandInput input = new(new FakeSource("hello", "wide\nworld"), port);
        port.OnWrite = text =>
        {
            if (!text.EndsWith('\n'))
            {
                input.OnTaken();
            }
        };
        input.OnTaken();
        input.Run();
        Assert.Equal("5\nhello10\nwide\nworld0\n", port.Typed);
    }

    [Fact]
    public async Task A_machine_is_told_to_stop_between_two_blocks_of_a_commands_input()
    {
        FakePort port = new();
        CommandInput input = new(new FakeSource("hello"), port);
        Task? stop = null;
        port.OnWrite = text =>
        {
            if (text == "5\n")
            {
                // It waits for the end of the block.
                stop = Task.Run(input.Stop, TestContext.Current.CancellationToken);
                Assert.False(stop.Wait(50, TestContext.Current.CancellationToken), "It was said within the block.");
            }
            else if (text == "hello")
            {
                input.OnTaken();
            }
        };
        input.OnTaken();
        input.Run();
        await stop!;
        Assert.Contains(port.Typed, (string[])["5\nhellostop\n0\n", "5\nhello0\nstop\n"]);
    }
}
