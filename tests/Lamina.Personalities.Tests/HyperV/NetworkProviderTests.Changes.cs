using Lamina.Machine.Backends;
using Lamina.Personalities.HyperV.Network;
using Lamina.Personalities.HyperV.VmBus;
using Lamina.Personalities.Tests.Fakes;

namespace Lamina.Personalities.Tests.HyperV;

/// <content>Cards that come and go while the guest runs.</content>
public sealed partial class NetworkProviderTests
{
    private const uint OfferMessage = 1;
    private const uint RescindMessage = 2;
    private const int Filling = 100;

    // The channels of the second card.
    private const uint Other = 2;
    private const uint OthersSecond = 35;
    private const uint OthersList = 400;
    private static readonly byte[] OtherAddress = [2, 2, 2, 2, 2, 3];

    [Fact]
    public void ACardIsOfferedOpenedAndGivenBackWhileTheGuestRuns()
    {
        BringUp();
        for (int i = 0; i < 3; i++)
        {
            TestNetwork wire = new(NetworkOffloads.Checksum);
            NetworkProvider card = AddCard(wire);
            OpenOther();
            Assert.False(card.IsLeaving);

            card.RequestRemoval();
            ExpectRescind(Other);
            Assert.True(card.IsLeaving);
            Assert.False(card.IsGivenUp);

            // It carries nothing from here on, and the first one goes on.
            uint written = _guest.Ram.Get<uint>(In);
            _guest.PutFirst(Other, Out, 5, Words(1, 0x6_0001, 0x6_0001));
            Assert.True(card.TryReceive(Arriving(Frames.CreateTcp(10))));
            Assert.Equal(written, _guest.Ram.Get<uint>(In));
            Assert.Equal(Address, Query(0x0101_0101));

            // A driver closes it, takes its lists down, and then knows it no more.
            _guest.Post(7, Other);
            _guest.Post(11, Other, OthersList);
            Assert.Equal(12, _guest.Receive()[0]);
            Assert.False(card.IsGivenUp);
            _guest.Post(13, Other);
            Assert.True(card.IsGivenUp);
            card.Remove();
            Assert.False(_guest.TrySignal(Other));
            Assert.False(_guest.HasMessage);
        }

        // Without it the bus has its offers as ever.
        Assert.Equal([1u], Reconnect());
    }

    [Fact]
    public void ACardGoesWithItsSubChannelsWhichAreWithdrawnFirst()
    {
        BringUp();
        OpenSecond();
        _card.RequestRemoval();
        ExpectRescind(Second);
        ExpectRescind(1);
        _guest.Post(13, 1);
        Assert.False(_card.IsGivenUp);
        _guest.Post(13, Second);
        Assert.True(_card.IsGivenUp);
        _card.Remove();
        Assert.False(_guest.TrySignal(1));
        Assert.False(_guest.TrySignal(Second));

        // Its numbers are another card's then.
        AddCard(new TestNetwork(), 1, index: 3);
    }

    [Fact]
    public void AGuestThatDoesNotAnswerKeepsACardUntilTheReset()
    {
        BringUp();
        NetworkProvider card = AddCard(new TestNetwork());
        OpenOther();
        card.RequestRemoval();
        ExpectRescind(Other);

        // Neither asked again nor offered again, whatever it says but that.
        card.RequestRemoval();
        _guest.Post(3);
        Assert.Equal((OfferMessage, 1u), Channel(_guest.Receive(), 184));
        Assert.Equal(4, _guest.Receive()[0]);
        _guest.Post(7, Other);
        _guest.Post(7, Other);
        Assert.Equal(0u, _guest.CreateList(401, Out, 4, Other));
        _guest.Post(5, Other, 99, 401, 0, 2);
        Assert.NotEqual(0u, BitConverter.ToUInt32(_guest.Receive(), 16));
        Assert.True(_guest.TrySignal(Other));
        Assert.False(_guest.HasMessage);
        Assert.False(card.IsGivenUp);
        _guest.Bus.Reset();
        Assert.True(card.IsGivenUp);
        Assert.Equal([1u], Reconnect());
    }

    [Fact]
    public void AGuestThatHasNotHeardOfACardIsNotAsked()
    {
        TestNetwork wire = new();
        NetworkProvider card = new(_guest.Bus, _guest.Ram.Memory, 1, wire, OtherAddress);
        Assert.True(card.IsOnBus);
        Assert.False(_guest.HasMessage);
        card.RequestRemoval();
        Assert.True(card.IsGivenUp);
        card.Remove();
        Assert.Equal([1u], Reconnect());

        // Nor one that leaves so many messages unread that it has not been told.
        FillMessages();
        card = new NetworkProvider(_guest.Bus, _guest.Ram.Memory, 1, wire, OtherAddress);
        card.RequestRemoval();
        Assert.True(card.IsGivenUp);
        card.Remove();
        SkipFilling();
        Assert.False(_guest.HasMessage);
    }

    [Fact]
    public void AsManyCardsAsThereAreComeAtOnce()
    {
        BringUp();
        List<NetworkProvider> cards = [.. Enumerable.Range(1, 7).Select(i => new NetworkProvider(_guest.Bus, _guest.Ram.Memory, i, new TestNetwork(), OtherAddress))];
        Assert.All(cards, static c => Assert.True(c.IsOnBus, "There is no place for the card."));
        cards[6].RequestRemoval();
        Assert.Equal(Enumerable.Range(2, 7).Select(static n => (OfferMessage, (uint)n)), Enumerable.Range(2, 7).Select(_ => Channel(_guest.Receive(), 184)));
        ExpectRescind(8);
        Assert.False(_guest.HasMessage);
    }

    [Fact]
    public void WhatAGuestSaysOfAGoneCardDoesNotReachTheNext()
    {
        BringUp();
        NetworkProvider card = AddCard(new TestNetwork());
        OpenOther();
        card.RequestRemoval();
        ExpectRescind(Other);
        _guest.Post(13, Other);
        _guest.Post(13, Other);
        card.Remove();
        _guest.Post(13, Other);
        _guest.Post(7, Other);
        _guest.Post(22, Other, 1);
        Assert.Equal(24, _guest.Receive()[0]);
        Assert.NotEqual(0u, _guest.CreateList(401, Out, 4, Other));

        // Its list is gone with it, and an answer that comes late closes nothing.
        NetworkProvider next = AddCard(new TestNetwork());
        _guest.Post(5, Other, 99, OthersList, 0, 2);
        Assert.NotEqual(0u, BitConverter.ToUInt32(_guest.Receive(), 16));
        OpenOther();
        _guest.Post(13, Other);
        next.RequestRemoval();
        ExpectRescind(Other);
        Assert.False(next.IsGivenUp);
    }

    [Fact]
    public void ACardThatWasAddedAndOneThatLeavesAreSoInAnotherMachine()
    {
        BringUp();
        NetworkProvider gone = AddCard(new TestNetwork());
        NetworkProvider last = AddCard(new TestNetwork(), 3, index: 5);
        OpenOther(3);
        gone.RequestRemoval();
        ExpectRescind(Other);
        _guest.Post(13, Other);
        gone.Remove();
        _guest.GoOn(BuildTwo);

        // It is where it was, and opened anew it is served there.
        _guest.Post(7, 3);
        _guest.Post(11, 3, OthersList);
        Assert.Equal(12, _guest.Receive()[0]);
        OpenOther(3);

        last.RequestRemoval();
        ExpectRescind(3);
        Assert.False(last.IsGivenUp);

        // Of rings and lists that are gone there is no more to know.
        _guest.GoOn(BuildTwo, isSame: false);
        Assert.True(last.IsLeaving);
        Assert.False(last.IsGivenUp);
        _guest.Post(13, 3);
        Assert.True(last.IsGivenUp);
        _guest.GoOn(BuildTwo, isSame: false);
        Assert.True(last.IsGivenUp);
        last.Remove();
        Assert.Equal([1u], Reconnect());

        void BuildTwo(VmBusController bus)
        {
            Build(bus);
            last = new NetworkProvider(bus, _guest.Ram.Memory, 5, new TestNetwork(), OtherAddress);
        }
    }

    [Fact]
    public void WhatTheGuestIsStillToBeToldIsToldInAnotherMachine()
    {
        BringUp();
        NetworkProvider second = AddCard(new TestNetwork());
        FillMessages();
        NetworkProvider third = new(_guest.Bus, _guest.Ram.Memory, 2, new TestNetwork(), OtherAddress);
        second.RequestRemoval();
        _guest.GoOn(bus =>
        {
            Build(bus);
            second = new NetworkProvider(bus, _guest.Ram.Memory, 1, new TestNetwork(), OtherAddress);
            third = new NetworkProvider(bus, _guest.Ram.Memory, 2, new TestNetwork(), OtherAddress);
        });
        SkipFilling();
        Assert.Equal((OfferMessage, 3u), Channel(_guest.Receive(), 184));
        ExpectRescind(Other);
        Assert.False(_guest.HasMessage);
        Assert.True(second.IsLeaving);
        Assert.False(third.IsLeaving);
    }

    [Fact]
    public void ABusOfBeforeIsTakenInTheOrderOfItsDevices()
    {
        BringUp();
        OpenSecond();
        Dictionary<string, StateBag> states = _guest.Save();
        StateBag named = states["vmbus"];
        StateBag before = named.Without(4).Without(5);
        foreach (ushort field in named.Bytes.Keys.Concat(named.Integers.Keys).Where(static f => f >= 2048 && f % 16 is 8 or 9))
        {
            before = before.Without(field);
        }

        for (ushort list = 96; list < 128; list++)
        {
            before = before.Without((ushort)(1024 + (2 * list))).Without((ushort)(1024 + (2 * list) + 1));
        }

        states["vmbus"] = before;
        Assert.Null(_guest.Restore(states, Build));
        Assert.Equal(named.Describe(), _guest.Save()["vmbus"].Describe());
    }

    [Fact]
    public void ABusWhoseChannelsCannotBeIsRefused()
    {
        BringUp();
        OpenSecond();
        Dictionary<string, StateBag> states = _guest.Save();
        StateBag good = states["vmbus"];
        const ushort First = 2048;
        const ushort Sub = First + (32 * 16);
        byte[] name = good.Bytes[First + 9];
        foreach (StateBag bad in (StateBag[])
        [
            good.Without(4), With(4, 2), good.Without(First + 9), good.Without(First + 8), good.Without(Sub + 9), With(First + 8, 8), With(First + 8, 1), With(First + 8, 4), With(Sub + 8, 1), With(5, 1000),
            WithName(First, "netvsc1"u8), WithName(First, []), WithName(Sub, "netvsc1"u8), WithName(First + 16, name), WithName(Sub + (5 * 16), name), Moved(),
        ])
        {
            states["vmbus"] = bad;
            Assert.Equal("vmbus", _guest.Restore(states, Build));
        }

        states["vmbus"] = good;
        Assert.Null(_guest.Restore(states, Build));

        StateBag With(ushort field, ulong value)
        {
            StateBag changed = good.Without(field);
            changed.Write(field, value);
            return changed;
        }

        StateBag WithName(int channel, ReadOnlySpan<byte> other)
        {
            StateBag changed = good.Without((ushort)(channel + 9));
            changed.Write((ushort)(channel + 9), other);
            return changed;
        }

        // Its first channel, where sub-channels are.
        StateBag Moved()
        {
            StateBag changed = WithName(Sub + (2 * 16), name);
            return changed.Without(First + 9).Without(First);
        }
    }

    private static (uint Type, uint Channel) Channel(byte[] message, int offset) => (BitConverter.ToUInt32(message), BitConverter.ToUInt32(message, offset));

    private NetworkProvider AddCard(TestNetwork wire, uint channel = Other, int index = 1)
    {
        NetworkProvider card = new(_guest.Bus, _guest.Ram.Memory, index, wire, OtherAddress);
        Assert.True(card.IsOnBus);
        byte[] offer = _guest.Receive();
        Assert.Equal((OfferMessage, channel), Channel(offer, 184));
        Assert.Equal((new Guid("f8615163-df3e-46c5-913f-f2d2f965ed0e"), (byte)index, 0), (new Guid(offer.AsSpan(8, 16)), offer[39], BitConverter.ToUInt16(offer, 180)));
        Assert.False(_guest.HasMessage);
        return card;
    }

    // On the rings of a sub-channel, where it answers.
    private void OpenOther(uint channel = Other)
    {
        _guest.Ram.Memory.TryWrite(Out, new byte[0x4000]);
        Assert.Equal(0u, _guest.CreateList(OthersList, Out, 4, channel));
        _guest.Post(5, channel, 99, OthersList, 0, 2);
        Assert.Equal(0u, BitConverter.ToUInt32(_guest.Receive(), 16));
        _guest.PutFirst(channel, Out, 5, [.. Words(1, 0x6_0001, 0x6_0001), .. new byte[28]]);
        Assert.Equal((11, 5ul, 2u), (_guest.Ram.Get<ushort>(In + 0x1000), _guest.Ram.Get<ulong>(In + 0x1008), _guest.Ram.Get<uint>(In + 0x1010)));
    }

    // More answers than are kept where offers are to follow.
    private void FillMessages()
    {
        for (int i = 0; i < Filling; i++)
        {
            _guest.Post(22, 1, 0);
        }
    }

    private void SkipFilling()
    {
        for (int i = 0; i < Filling; i++)
        {
            Assert.Equal(24, _guest.Receive()[0]);
        }
    }

    private void ExpectRescind(uint channel) => Assert.Equal((RescindMessage, channel), Channel(_guest.Receive(), 8));

    // What a driver that connects is offered.
    private List<uint> Reconnect()
    {
        while (_guest.HasMessage)
        {
            _guest.Receive();
        }

        _guest.Post(14, 0x5_0003, 0, 0, 0, 0, 0, 0, 0);
        Assert.Equal(15, _guest.Receive()[0]);
        _guest.Post(3);
        List<uint> channels = [];
        for (byte[] message = _guest.Receive(); message[0] != 4; message = _guest.Receive())
        {
            channels.Add(Channel(message, 184).Channel);
        }

        return channels;
    }
}
