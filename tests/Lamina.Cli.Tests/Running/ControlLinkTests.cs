using System.Text;
using Lamina.Cli.Running;
using Lamina.Vmm.Serial;

namespace Lamina.Cli.Tests.Running;

public sealed class ControlLinkTests
{
    private readonly MemoryCharacterOutput _output = new();
    private readonly MemoryCharacterOutput _error = new();
    private readonly List<string> _events = [];
    private readonly ControlLink _link;

    public ControlLinkTests()
    {
        _link = new ControlLink(_output, _error);
        _link.Ready += () => _events.Add("ready");
        _link.Taken += () => _events.Add("taken");
        _link.Ended += status => _events.Add($"status {status}");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    [InlineData(1000)]
    public void Understands_the_image_however_its_bytes_are_cut(int size)
    {
        byte[] said = [.. "ready\nout 7\na\nb\0"u8, 0xff, .. "\n\n"u8, .. "taken\nerr 6\nout 5\nout 1\n!status 137\n"u8];
        foreach (byte[] piece in said.Chunk(size))
        {
            _link.Write(piece);
        }

        Assert.Equal([.. "a\nb\0"u8, 0xff, .. "\n\n"u8], _output.ToArray()[..7]);
        Assert.Equal("!", Encoding.ASCII.GetString(_output.ToArray()[7..]));
        Assert.Equal("out 5\n", _error.Text);
        Assert.Equal(["ready", "taken", "status 137"], _events);
    }

    [Theory]
    [InlineData("nonsense\n")]
    [InlineData("out\n")]
    [InlineData("out -1\n")]
    [InlineData("out 65537\n")]
    [InlineData("out 99999999999999\n")]
    [InlineData("out 5x\n")]
    [InlineData("status\n")]
    [InlineData("status 256\n")]
    [InlineData("status -1\n")]
    [InlineData("\n\n\n")]
    [InlineData("ready or not, here is a line that is much longer than any line of the protocol could ever be\n")]
    public void Drops_what_it_does_not_understand(string said)
    {
        _link.Write(Encoding.ASCII.GetBytes(said));
        _link.Write("taken\n"u8);
        Assert.Equal(["taken"], _events);
        Assert.Equal(0, _output.TotalWritten);
    }

    [Fact]
    public void Survives_garbage()
    {
        Random random = new(1);
        byte[] garbage = new byte[1 << 20];
        random.NextBytes(garbage);
        foreach (byte[] piece in garbage.Chunk(4093))
        {
            _link.Write(piece);
        }
    }

    [Fact]
    public void Is_ready_once()
    {
        _link.Write("ready\nready\n"u8);
        Assert.Equal(["ready"], _events);
        Assert.True(_link.IsReady);
    }
}
