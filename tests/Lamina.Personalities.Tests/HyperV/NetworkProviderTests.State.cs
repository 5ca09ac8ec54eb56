using Lamina.Machine.Backends;
using Lamina.Personalities.HyperV.Network;
using Lamina.Personalities.HyperV.VmBus;
using Lamina.Personalities.Tests.Fakes;

namespace Lamina.Personalities.Tests.HyperV;

/// <content>A card in a machine that is saved.</content>
public sealed partial class NetworkProviderTests
{
    [Fact]
    public void AMessageThatIsHalfSentGoesOnInAnotherMachine()
    {
        BringUp();
        byte[] large = Frames.CreateTcp(4000);
        large.AsSpan(16, 2).Clear();
        byte[] second = Frames.CreateTcp(300);
        byte[] message = [.. Packet(large, (2, 1000u | (34u << 20) | (1u << 30))), .. Packet(second)];
        _guest.Ram.Memory.TryWrite(Request, message);
        _guest.Put(9, 50, VmBusGuest.Ranges((Request, message.Length)), Words(107, 0, uint.MaxValue, 0));
        Assert.Equal(5, _wire.Sent.Count);
        Assert.Equal(50ul, _guest.Take()!.Transaction);

        _wire.Room = 2;
        _guest.Put(9, 51, VmBusGuest.Ranges((Request, message.Length)), Words(107, 0, uint.MaxValue, 0));
        Assert.Null(_guest.Take());
        TestNetwork before = _wire;
        _guest.GoOn(Build);
        Assert.Equal((7, 3), (before.Sent.Count, _wire.Sent.Count));
        Assert.Equal(before.Sent.Take(5), before.Sent.Skip(5).Concat(_wire.Sent));
        VmBusGuest.Packet answer = _guest.Take()!;
        Assert.Equal((51ul, 108u, 1u), (answer.Transaction, answer.Word(0), answer.Word(4)));
        Assert.Null(_guest.Take());
    }

    [Fact]
    public void WhatADriverHasSetIsThereInAnotherMachine()
    {
        _wire.Offloads = NetworkOffloads.Checksum | NetworkOffloads.SegmentTcp4 | NetworkOffloads.SegmentTcp6;
        _bufferId = 0x1234;
        BringUp(16384);
        OpenSecond();
        SetFilter(1);
        Assert.Equal(0u, SetScaling(1));
        byte[] parameters = new byte[24];
        (parameters[22], parameters[23]) = (2, 2);
        Assert.Equal(0u, BitConverter.ToUInt32(Send(Message(5, [.. Words(2, 0xfc01_020c, 24, 20, 0), .. parameters])), 12));

        // A frame of many parts, which the driver has not given back when the machine is saved.
        byte[] frame = WithChecksum(Frames.CreateTcp(40000));
        Address.CopyTo(frame, 0);
        Assert.True(_card.TryReceive(Arriving(frame)));
        ulong section = _guest.Ram.Get<ulong>(In + 0x1000 + 8);
        Assert.Equal(3u, _guest.Ram.Get<uint>(In + 0x1000 + 20));
        _guest.GoOn(Build);
        Assert.Equal(_wire.Offloads, _wire.ReceiveOffloads);

        // Directed frames alone come, on the second channel, in other parts until those of the first are given back.
        byte[] other = WithChecksum(Frames.CreateTcp(50));
        (other[0], other[1]) = (2, 9);
        uint index = _guest.Ram.Get<uint>(In);
        Assert.True(_card.TryReceive(Arriving(other)));
        Assert.Equal(index, _guest.Ram.Get<uint>(In));
        Assert.True(_card.TryReceive(Arriving(frame)));
        Assert.NotEqual(section, _guest.Ram.Get<ulong>(In + 0x1000 + index + 8));
        _guest.Put(11, section, [], Words(108, 1));
        uint next = _guest.Ram.Get<uint>(In);
        Assert.True(_card.TryReceive(Arriving(frame)));
        Assert.Equal(section, _guest.Ram.Get<ulong>(In + 0x1000 + next + 8));
        Assert.Equal(1u, BitConverter.ToUInt32(Query(0x0001_010e)));
        Assert.Equal(156, Query(0xfc01_020d).Length);
    }

    [Fact]
    public void AnswersThatWaitForRoomAreGivenInAnotherMachine()
    {
        BringUp();
        SetFilter(0xb);
        _guest.LeavesPackets = true;
        int sent = 0;
        while (_wire.Sent.Count == sent)
        {
            _guest.Ram.Memory.TryWrite(SendBuffer, Packet(Frames.CreateTcp(10)));
            _guest.Put(6, (ulong)(1000 + sent), [], [.. Words(107, 0, 0, (uint)Packet(Frames.CreateTcp(10)).Length), .. new byte[24]]);
            sent++;
        }

        _card.OnLinkChanged(false);
        _guest.GoOn(Build, isSame: false);
        _guest.LeavesPackets = false;
        List<ulong> answers = [];
        bool linkShown = false;
        for (int i = 0; i < 3; i++)
        {
            while (_guest.Take() is { } packet)
            {
                linkShown |= packet.Type == 7;
                if (packet.Type == 11)
                {
                    answers.Add(packet.Transaction);
                }
            }

            _guest.Signal();
        }

        Assert.Equal(Enumerable.Range(1000, sent).Select(static n => (ulong)n), answers);
        Assert.True(linkShown, "The driver is not told that the wire is whole again.");
    }

    [Fact]
    public void AStateThatCannotBeIsRefused()
    {
        BringUp();
        SetFilter(0xb);
        byte[] large = Frames.CreateTcp(4000);
        byte[] message = Packet(large, (2, 1000u | (34u << 20) | (1u << 30)));
        _guest.Ram.Memory.TryWrite(Request, message);
        _wire.Room = 2;
        _guest.Put(9, 51, VmBusGuest.Ranges((Request, message.Length)), Words(107, 0, uint.MaxValue, 0));
        Assert.True(_card.TryReceive(Arriving(WithChecksum(Frames.CreateTcp(50)))));
        _guest.RefusesWhatCannotBe("netvsc0", Build, 13);
    }

    private void Build(VmBusController bus)
    {
        _wire = new TestNetwork(_wire.Offloads);
        _card = new NetworkProvider(bus, _guest.Ram.Memory, 0, _wire, Address);
    }
}
