using System.Text;
using Lamina.Cli.Control;

namespace Lamina.Cli.Tests.Control;

/// <summary>What a console shows is kept for readers, and no reader holds the console up.</summary>
public sealed class ConsoleHubTests
{
    private readonly ConsoleHub _hub = new();

    [Fact]
    public void A_reader_gets_what_was_shown_before_and_what_comes()
    {
        _hub.Write("before "u8);
        ConsoleReader reader = _hub.CreateReader(100);
        _hub.Write("after"u8);
        Assert.Equal("before after", ReadAll(reader));
    }

    [Fact]
    public void Scrollback_is_as_long_as_asked_for()
    {
        _hub.Write("0123456789"u8);
        Assert.Equal("6789", ReadAll(_hub.CreateReader(4)));
        Assert.Equal("", ReadAll(_hub.CreateReader(0)));
        Assert.Equal("0123456789", ReadAll(_hub.CreateReader(int.MaxValue)));
    }

    [Fact]
    public void Readers_do_not_disturb_each_other()
    {
        ConsoleReader first = _hub.CreateReader(0);
        _hub.Write("a"u8);
        ConsoleReader second = _hub.CreateReader(0);
        _hub.Write("b"u8);
        Assert.Equal("ab", ReadAll(first));
        Assert.Equal("b", ReadAll(second));
    }

    [Fact]
    public void A_slow_reader_misses_the_middle_and_goes_on_with_the_end()
    {
        ConsoleReader reader = _hub.CreateReader(0);
        byte[] block = Encoding.ASCII.GetBytes(new string('x', 99999) + "\n");
        for (int i = 0; i < 30; i++)
        {
            _hub.Write(block);
        }

        _hub.Write("end"u8);
        string read = ReadAll(reader);
        Assert.Equal(1 << 20, read.Length);
        Assert.EndsWith("x\nend", read, StringComparison.Ordinal);
        Assert.Equal(3000003, _hub.Total);
    }

    [Fact]
    public void A_reader_that_waits_is_woken_by_bytes_by_its_cancelling_and_by_the_end()
    {
        ConsoleReader reader = _hub.CreateReader(0);
        byte[] buffer = new byte[10];
        Task<int> waiting = Task.Run(() => reader.Read(buffer, wait: true));
        _hub.Write("x"u8);
        Assert.Equal(1, Within(waiting));

        waiting = Task.Run(() => reader.Read(buffer, wait: true));
        reader.Cancel();
        Assert.Equal(0, Within(waiting));

        ConsoleReader other = _hub.CreateReader(0);
        waiting = Task.Run(() => other.Read(buffer, wait: true));
        _hub.End();
        Assert.Equal(0, Within(waiting));
    }

    private static int Within(Task<int> task)
    {
        Assert.True(task.Wait(TimeSpan.FromSeconds(30)), "the reader was not woken");
        return task.Result;
    }

    private static string ReadAll(ConsoleReader reader)
    {
        StringBuilder text = new();
        byte[] buffer = new byte[1000];
        int count;
        while ((count = reader.Read(buffer, wait: false)) > 0)
        {
            text.Append(Encoding.ASCII.GetString(buffer, 0, count));
        }

        return text.ToString();
    }
}
