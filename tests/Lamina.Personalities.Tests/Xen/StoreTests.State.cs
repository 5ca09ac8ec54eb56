using System.Text;
using Lamina.Machine.Backends;
using Lamina.Personalities.Xen;
using Lamina.Personalities.Xen.Console;
using Lamina.Personalities.Xen.Store;

namespace Lamina.Personalities.Tests.Xen;

/// <content>The store in a machine that is saved.</content>
public sealed partial class StoreTests
{
    [Fact]
    public void NodesWatchesAndTransactionsAreThereInAnotherMachine()
    {
        _store.Write("data/a/b", new string('v', 2000));
        _store.Ask(StoreMessage.SetPermissions, "data/a/b\0b1\0r0\0");
        Assert.Equal("OK\0", _store.Ask(StoreMessage.Watch, "data\0token\0"));
        Assert.Equal("OK\0", _store.Ask(StoreMessage.Watch, "/local/domain/1/data/x\0other\0"));
        uint first = _store.Begin();
        uint second = _store.Begin();
        _store.Write("data/a/c", "1", first);
        _store.Ask(StoreMessage.Remove, "data/a/b\0", second);
        string names = _store.Ask(StoreMessage.Directory, "/local/domain/1\0");
        _store.GoOn();
        _store.Events.Clear();
        Assert.Equal(names, _store.Ask(StoreMessage.Directory, "/local/domain/1\0"));
        Assert.Equal((new string('v', 2000), "b1\0r0\0"), (_store.Read("data/a/b"), _store.Ask(StoreMessage.GetPermissions, "data/a/b\0")));
        Assert.Equal("EACCES\0", _store.Write("name", "other"));
        Assert.Equal("ENOENT\0", _store.Read("data/a/c"));
        Assert.Equal(("1", "1"), (_store.Ask(StoreMessage.Read, "data/a/c\0", first), _store.Ask(StoreMessage.Read, "data/a/c\0", first)));
        Assert.Equal("ENOENT\0", _store.Ask(StoreMessage.Read, "data/a/b\0", second));
        Assert.Equal("OK\0", _store.Ask(StoreMessage.TransactionEnd, "T\0", first));
        Assert.Equal("EAGAIN\0", _store.Ask(StoreMessage.TransactionEnd, "T\0", second));
        Assert.Equal("1", _store.Read("data/a/c"));
        _store.Write("data/x", "2");
        _store.Read("name");
        Assert.Equal(["data/a/c\0token\0", "data/x\0token\0", "/local/domain/1/data/x\0other\0"], _store.Events);
        Assert.NotEqual(first, _store.Begin());
        Assert.Equal("EEXIST\0", _store.Ask(StoreMessage.Watch, "data\0token\0"));
    }

    [Fact]
    public void AMessageThatIsHalfThereIsTakenAndOneThatIsHalfSaidIsSaid()
    {
        // The first part of a request is in the ring, and taken.
        byte[] message = [11, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, .. "data/half\0v"u8];
        Feed(message.AsSpan(0, 20));
        _store.GoOn();
        Feed(message.AsSpan(20));
        Assert.Equal(((uint)StoreMessage.Write, "OK\0"), _store.Receive());
        Assert.Equal("v", _store.Read("data/half"));

        // More is to be said than there is room for.
        string value = new('y', 1900);
        _store.Write("data/long", value);
        _store.Send((uint)StoreMessage.Read, Encoding.ASCII.GetBytes("data/long\0"), 0);
        _store.Send((uint)StoreMessage.Read, Encoding.ASCII.GetBytes("data/half\0"), 0);
        _store.GoOn();
        Assert.Equal(((uint)StoreMessage.Read, value), _store.Receive());
        Assert.Equal(((uint)StoreMessage.Read, "v"), _store.Receive());
    }

    [Fact]
    public void WhoHasBrokenTheProtocolIsNotHeardInAnotherMachineEither()
    {
        _store.Set(2052, 5000);
        _store.Kick();
        _store.GoOn();
        _store.Set(2052, 0);
        _store.Set(2048, 0);
        uint answered = _store.Get(2060);
        _store.Send((uint)StoreMessage.Read, "name\0"u8.ToArray(), 0);
        Assert.Equal(answered, _store.Get(2060));
    }

    [Fact]
    public void WhatTheHostWantsWhileNothingRunsIsSaidAfterwards()
    {
        _store.Write("control/feature-poweroff", "1");
        _store.Ask(StoreMessage.Watch, "control/shutdown\0s\0");
        _store.Ask(StoreMessage.Watch, "memory/target\0m\0");
        _store.Read("name");
        _store.Events.Clear();
        _store.Stop();
        byte[] page = new byte[4096];
        byte[] after = new byte[4096];
        _store.Memory.TryRead(SpecialPages.Store, page);
        Assert.True(_store.Bus.TryPowerOff());
        _store.Bus.Target = 3 << 20;
        _store.Memory.TryRead(SpecialPages.Store, after);
        Assert.Equal(page, after);
        _store.GoOn();
        Assert.Equal(((uint)StoreMessage.WatchEvent, "control/shutdown\0s\0"), _store.Receive());
        Assert.Equal(((uint)StoreMessage.WatchEvent, "memory/target\0m\0"), _store.Receive());
        Assert.Equal(("1024", 3UL << 20), (_store.Read("memory/target"), _store.Bus.Target));
    }

    [Fact]
    public void TheConsoleGoesOnAndWhatIsTypedWhileNothingRunsWaits()
    {
        RecordingConsole output = new();
        using StoreClient guest = new((bus, personality) =>
        {
            bus.Console = new ConsoleRing(personality, StoreClient.NewLock(), output);
            bus.Console.SetReadyTarget(output);
            return null;
        });
        Assert.Equal(2, guest.Bus.Console!.Receive("ab"u8));
        guest.Memory.TryWrite(SpecialPages.Console + 1024, "xyz"u8);
        guest.Memory.TryWrite(SpecialPages.Console + 3084, 2u);
        guest.Notify(ConsoleRing.Port);
        guest.Stop();
        Assert.Equal(0, guest.Bus.Console.Receive("c"u8));
        int asked = output.Asked;
        guest.GoOn();
        Assert.Equal(asked + 1, output.Asked);
        Assert.Equal(1, guest.Bus.Console.Receive("c"u8));
        byte[] typed = new byte[3];
        guest.Memory.TryRead(SpecialPages.Console, typed);
        guest.Memory.TryRead(SpecialPages.Console + 3076, out uint producer);
        Assert.Equal(("abc", 3u), (Encoding.ASCII.GetString(typed), producer));
        guest.Memory.TryWrite(SpecialPages.Console + 3084, 3u);
        guest.Notify(ConsoleRing.Port);
        Assert.Equal("xyz", output.Text);
    }

    [Fact]
    public void AStateThatCannotBeIsRefused()
    {
        _store.Write("data/a/b", "value");
        _store.Ask(StoreMessage.Watch, "data\0token\0");
        uint transaction = _store.Begin();
        _store.Write("data/a/c", "1", transaction);
        _store.Ask(StoreMessage.Remove, "data/a/b\0", transaction);
        Feed([11, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, .. "data"u8]);
        _store.Set(2056, _store.Get(2060) - 1000);
        _store.Bus.Target = 1 << 20;
        _store.RefusesWhatCannotBe("xenbus");
    }

    private void Feed(ReadOnlySpan<byte> bytes)
    {
        foreach (byte b in bytes)
        {
            uint producer = _store.Get(2052);
            _store.Memory.TryWrite(SpecialPages.Store + (producer % 1024), b);
            _store.Set(2052, producer + 1);
        }

        _store.Kick();
    }

    private sealed class RecordingConsole : ICharacterOutput, ICharacterInputReady
    {
        public string Text { get; private set; } = "";

        public int Asked { get; private set; }

        public void Write(ReadOnlySpan<byte> data) => Text += Encoding.ASCII.GetString(data);

        public void OnInputReady() => Asked++;
    }
}
