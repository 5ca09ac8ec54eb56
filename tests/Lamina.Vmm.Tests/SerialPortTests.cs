using Lamina.Machine.Backends;
using Lamina.Vmm.Events;

namespace Lamina.Vmm.Tests;

public sealed class SerialPortTests : IDisposable, ICharacterInput
{
    private readonly EventLoop _loop = new("test loop", static _ => { });
    private readonly List<byte> _received = [];
    private ICharacterInputReady? _ready;
    private int _room;

    public void Dispose() => _loop.Dispose();

    [Fact]
    public void AnyAmountArrivesInOrderAsThePortTakesIt()
    {
        SerialPort port = new(this, _loop);
        byte[] expected = [.. Enumerable.Range(0, 100_000).Select(i => (byte)(i * 31))];
        foreach (byte[] chunk in expected.Chunk(333))
        {
            port.Write(chunk);
        }

        port.Write(default);
        Assert.False(port.InputDrained);
        _loop.Begin();
        for (int i = 0; i < 10_000 && !port.InputDrained; i++)
        {
            using ManualResetEventSlim round = new();
            Interlocked.Add(ref _room, 16);
            _ready!.OnInputReady();
            new Posting(_loop, round.Set).Schedule();
            Assert.True(round.Wait(TimeSpan.FromSeconds(30)));
        }

        Assert.True(port.InputDrained);
        Assert.Equal(expected, _received);
    }

    int ICharacterInput.Receive(ReadOnlySpan<byte> data)
    {
        int taken = Math.Min(data.Length, Volatile.Read(ref _room));
        Interlocked.Add(ref _room, -taken);
        _received.AddRange(data[..taken]);
        return taken;
    }

    void ICharacterInput.SetReadyTarget(ICharacterInputReady target) => _ready = target;
}
