using System.Text;
using Lamina.Cli.Running;
using Lamina.Vmm.Serial;

namespace Lamina.Cli.Tests.Running;

public sealed class OutputTests
{
    [Theory]
    [InlineData("a\r\nb\r\n", "a\nb\n")]
    [InlineData("50%\r100%\r\n", "50%\r100%\n")]
    [InlineData("\r\r\n", "\r\n")]
    [InlineData("a\n", "a\n")]
    public void Lines_end_plainly_outside_a_raw_terminal(string written, string expected)
    {
        for (int size = 1; size <= written.Length; size++)
        {
            MemoryCharacterOutput inner = new();
            ConsoleOutput console = new(inner, raw: false);
            foreach (char[] piece in written.Chunk(size))
            {
                console.Write(Encoding.ASCII.GetBytes(piece));
            }

            Assert.Equal(expected, inner.Text);
            Assert.True(console.AtLineStart);
        }
    }

    [Fact]
    public void A_raw_terminal_gets_every_byte()
    {
        MemoryCharacterOutput inner = new();
        ConsoleOutput console = new(inner, raw: true);
        console.Write("a\r\nb"u8);
        Assert.Equal("a\r\nb", inner.Text);
        Assert.False(console.AtLineStart);
    }

    [Fact]
    public void A_panic_while_the_image_boots_is_seen()
    {
        List<string> panics = [];
        PanicWatch watch = new(NullCharacterOutput.Instance);
        watch.Panicked += panics.Add;
        foreach (byte value in "KKernel panic\r\n[ 1.0] Kernel panic - not syncing: VFS: no root\r\nKernel panic - not syncing: again\n"u8)
        {
            watch.Write([value]);
        }

        Assert.Equal(["VFS: no root"], panics);
    }

    [Fact]
    public void The_word_panic_means_nothing_once_programs_write_there()
    {
        PanicWatch watch = new(NullCharacterOutput.Instance);
        watch.Panicked += _ => Assert.Fail("No panic.");
        watch.Stop();
        watch.Write("Kernel panic - not syncing: just a word\n"u8);
    }

    [Fact]
    public void A_hidden_console_keeps_its_end()
    {
        ConsoleLog log = new();
        for (int i = 0; i < 10000; i++)
        {
            log.Write(Encoding.ASCII.GetBytes($"line {i}\r\n"));
        }

        IReadOnlyList<string> lines = log.GetLastLines();
        Assert.Equal(20, lines.Count);
        Assert.Equal("line 9999", lines[^1]);
    }
}
