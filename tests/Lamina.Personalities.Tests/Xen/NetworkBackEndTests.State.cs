using Lamina.Personalities.Tests.Fakes;

namespace Lamina.Personalities.Tests.Xen;

/// <content>A card in a machine that is saved.</content>
public sealed partial class NetworkBackEndTests
{
    [Fact]
    public void APacketThatIsHalfSentGoesOnInAnotherMachine()
    {
        Connect();
        Give(10);
        byte[] large = Frames.CreateTcp(4000);
        Put(large, 1, 4000, segment: 1000);
        List<byte[]> whole = [.. _wire.Sent];
        Assert.Equal(4, whole.Count);
        _wire.Sent.Clear();
        _wire.Room = 3;
        Put(large, 1, 4000, segment: 1000);
        Put(Frames.CreateTcp(100), 0, 4000);
        TestNetwork before = _wire;
        Assert.Equal(3, before.Sent.Count);
        _guest.GoOn();
        Assert.Equal(2, _wire.Sent.Count);
        Assert.Equal(whole, before.Sent.Concat(_wire.Sent.Take(1)));
        Assert.Equal((7u, 0, 1), (Responses, Response(4).Status, Response(5).Status));
        Assert.Equal((true, false), (_wire.IsEnabled, _second.IsEnabled));

        // What arrives has the page that was given before, and the next one waits.
        byte[] packet = new byte[12 + 500];
        new Random(2).NextBytes(packet.AsSpan(12));
        Assert.True(_wire.Receiver!.TryReceive(packet));
        Assert.Equal((0, 500), (ReceiveResponse(0).Flags, ReceiveResponse(0).Status));
        Assert.False(_wire.Receiver.TryReceive(packet));
        Assert.Equal(1, _wire.Resumed);
        Give(11);
        Assert.Equal(2, _wire.Resumed);
    }

    [Fact]
    public void ACardWithoutAFrontEndIsConnectedAfterwards()
    {
        _guest.GoOn();
        Connect();
        Put(new byte[100], 0, 4000);
        Assert.Single(_wire.Sent);
    }

    [Fact]
    public void AStateThatCannotBeIsRefused()
    {
        Connect();
        Give(10);
        _wire.Room = 2;
        Put(Frames.CreateTcp(4000), 1, 4000, segment: 1000);
        _guest.RefusesWhatCannotBe("netback0");
    }
}
