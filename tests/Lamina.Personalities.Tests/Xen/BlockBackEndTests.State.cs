using Lamina.Personalities.Xen.Bus;

namespace Lamina.Personalities.Tests.Xen;

/// <content>A disk in a machine that is saved while its guest writes.</content>
public sealed partial class BlockBackEndTests
{
    [Fact]
    public void RequestsOfABusyMachineAreDoneAndAnsweredOnce()
    {
        const int All = 100;
        const int Places = 64;
        Connect(order: 2);
        _disk.Hold = true;
        for (int i = 0; i < All; i++)
        {
            byte[] entry = Entry(1, 1, (ulong)i);
            BitConverter.TryWriteBytes(entry.AsSpan(8), (ulong)i);
            BitConverter.TryWriteBytes(entry.AsSpan(24), 10u + ((uint)i % 10));
            Put(entry, pages: 4);
        }

        TestDisk before = _disk;
        Assert.Equal(Places, before.Held.Count);
        _disk = new TestDisk(1 << 20);
        _guest.GoOn();
        Assert.Equal(Enumerable.Range(0, Places).Select(static i => $"Write {i * 512}+512"), before.Log);
        Assert.Empty(before.Held);
        Assert.Equal(Enumerable.Range(Places, All - Places).Select(static i => $"Write {i * 512}+512"), _disk.Log);
        _guest.Memory.TryRead(Ring + 8, out uint responses);
        Assert.Equal((uint)All, responses);
        List<ulong> answered = [];
        for (uint i = 0; i < All; i++)
        {
            answered.Add(BitConverter.ToUInt64(Get(Ring + 64 + (i * 112), 8)));
        }

        Assert.Equal(Enumerable.Range(0, All).Select(static i => (ulong)i), answered.Order());

        // And the front end goes on.
        Put(Entry(3, 0, 0), pages: 4);
        Assert.Equal("Flush 0+0", _disk.Log[^1]);
    }

    [Fact]
    public void GrantsThatAreKeptAreKeptByARestoredMachine()
    {
        OfferPersistentGrants();
        Connect(persistent: true);
        Assert.Equal((short)0, Request(0, 8, (10, 0, 7)));
        _guest.GoOn();
        Assert.Equal((short)0, Request(0, 8, (11, 0, 7)));
        Assert.Equal((Used, Used), (GetFlags(10), GetFlags(11)));
        SetState("6");
        Assert.Equal((Permitted, Permitted), (GetFlags(10), GetFlags(11)));
    }

    [Fact]
    public void WhatWasOfferedStaysOfferedInAMachineThatNoLongerDoes()
    {
        OfferPersistentGrants();
        Connect(persistent: true);
        _persistentGrants = false;
        _guest.GoOn();
        Assert.Equal("1", _guest.Read($"{Back}/feature-persistent"));
        Assert.Equal((short)0, Request(0, 8, (10, 0, 7)));
        Assert.Equal(Used, GetFlags(10));
    }

    [Fact]
    public void ADiskThatWasToGoIsStillToGo()
    {
        Connect();
        XenBusController.RequestRemoval(_guest.Device!);
        _guest.GoOn();
        Assert.Equal((true, false), (XenBusController.IsLeaving(_guest.Device!), XenBusController.IsGivenUp(_guest.Device!)));
        Assert.Equal((short)0, Request(0, 0, (10, 0, 7)));
        SetState("6");
        Assert.Equal("6", _guest.Read($"{Back}/state"));
        _guest.GoOn();
        Assert.True(XenBusController.IsGivenUp(_guest.Device!), "The front end was closed.");
        _guest.Bus.Remove(_guest.Device!);
        Assert.Equal("ENOENT\0", _guest.Read(Front));
    }

    [Fact]
    public void ADeviceThatIsClosedWhileTheMachineIsSavedIsClosedAfterwards()
    {
        Connect();
        _disk.Hold = true;
        Put(Entry(3, 0, 0));
        SetState("6");
        Assert.Equal("4", _guest.Read($"{Back}/state"));
        _disk = new TestDisk(1 << 20);
        _guest.GoOn();
        Assert.Equal("6", _guest.Read($"{Back}/state"));
        SetState("1");
        Assert.Equal("2", _guest.Read($"{Back}/state"));
        Connect();
        Assert.Equal((short)0, Request(3, 0));
    }

    [Fact]
    public void AChannelThatTheGuestHasTakenForSomethingElseIsNotTheDisksAnyMore()
    {
        Connect();
        _guest.Personality.Domain.Gate.Enter();
        _guest.Personality.Domain.Events.Close(_port);
        _guest.Personality.Domain.Gate.Exit();
        Assert.Equal(_port, _guest.AllocatePort());
        _guest.GoOn();
        _guest.Memory.TryWrite(Ring + 64, Entry(3, 0, 0));
        _guest.Memory.TryWrite(Ring, ++_produced);
        _guest.Notify(_port);
        Assert.Empty(_disk.Log);
        Assert.Equal("4", _guest.Read($"{Back}/state"));
    }

    [Fact]
    public void AStateThatCannotBeIsRefused()
    {
        Connect(order: 2);
        Put(Entry(3, 0, 0), pages: 4);
        _guest.RefusesWhatCannotBe("blkback0");
    }
}
