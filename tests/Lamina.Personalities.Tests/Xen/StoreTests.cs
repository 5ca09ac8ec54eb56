using Lamina.Personalities.Tests.Fakes;
using Lamina.Personalities.Xen.Block;
using Lamina.Personalities.Xen.Network;
using Lamina.Personalities.Xen.Store;

namespace Lamina.Personalities.Tests.Xen;

/// <summary>The store as a guest sees it over its ring: what is promised, quotas, and messages that are none.</summary>
public sealed partial class StoreTests : IDisposable
{
    private readonly StoreClient _store = new();

    public void Dispose() => _store.Dispose();

    [Fact]
    public void AToolstacksNodesAreReadAndNotWritten()
    {
        Assert.Equal("guest", _store.Read("name"));
        Assert.Equal("guest", _store.Read("/local/domain/1/name"));
        Assert.Equal("/local/domain/1\0", _store.Ask(StoreMessage.GetDomainPath, "1\0"));
        Assert.Equal("EACCES\0", _store.Write("name", "other"));
        Assert.Equal("EACCES\0", _store.Ask(StoreMessage.Remove, "name\0"));
        Assert.Equal("EACCES\0", _store.Write("/new", "x"));
        Assert.Equal("EACCES\0", _store.Read("/local/domain/0/domid"));
        Assert.Equal("ENOENT\0", _store.Read("none"));
        Assert.Equal("n0\0r1\0", _store.Ask(StoreMessage.GetPermissions, "name\0"));
        Assert.Contains("memory\0", _store.Ask(StoreMessage.Directory, "/local/domain/1\0"), StringComparison.Ordinal);
        Assert.Contains("\0vm\0name\0", _store.Ask(StoreMessage.DirectoryPart, "/local/domain/1\00\0"), StringComparison.Ordinal);
        Assert.Equal("T\0", _store.Ask(StoreMessage.IsDomainIntroduced, "0\0"));
    }

    [Fact]
    public void AGuestsOwnNodesComeGoAndCarryPermissions()
    {
        Assert.Equal("OK\0", _store.Write("data/a/b", "value"));
        Assert.Equal("value", _store.Read("data/a/b"));
        Assert.Equal("", _store.Read("data/a"));
        Assert.Equal("n1\0", _store.Ask(StoreMessage.GetPermissions, "data/a/b\0"));
        Assert.Equal("OK\0", _store.Ask(StoreMessage.SetPermissions, "data/a/b\0b1\0r0\0"));
        Assert.Equal("b1\0r0\0", _store.Ask(StoreMessage.GetPermissions, "data/a/b\0"));
        Assert.Equal("EACCES\0", _store.Ask(StoreMessage.SetPermissions, "data/a/b\0n0\0"));
        Assert.Equal("EINVAL\0", _store.Ask(StoreMessage.SetPermissions, "data/a/b\0x1\0"));
        Assert.Equal("EINVAL\0", _store.Ask(StoreMessage.SetPermissions, "data/a/b\0n1\0r1\0r2\0r3\0r4\0r5\0"));
        Assert.Equal("OK\0", _store.Ask(StoreMessage.MakeDirectory, "data/a/b\0"));
        Assert.Equal("value", _store.Read("data/a/b"));
        Assert.Equal("OK\0", _store.Ask(StoreMessage.Remove, "data/a\0"));
        Assert.Equal("ENOENT\0", _store.Read("data/a/b"));
        Assert.Equal("OK\0", _store.Ask(StoreMessage.Remove, "data/a\0"));
        Assert.Equal("ENOENT\0", _store.Ask(StoreMessage.Remove, "data/a/b/c\0"));
        Assert.Equal("EACCES\0", _store.Ask(StoreMessage.Control, "check\0"));
    }

    [Fact]
    public void WatchesTellChangesOnceByTheNameThatWasWatched()
    {
        Assert.Equal("OK\0", _store.Ask(StoreMessage.Watch, "data\0token\0"));
        Assert.Equal("EEXIST\0", _store.Ask(StoreMessage.Watch, "data\0token\0"));
        Assert.Equal("OK\0", _store.Ask(StoreMessage.Watch, "/local/domain/1/data/x\0other\0"));
        _store.Write("data/x/y", "1");
        _store.Write("database", "1");
        _store.Ask(StoreMessage.Remove, "data\0");
        _store.Read("name");
        string[] events = [.. _store.Events];
        Assert.Contains("data\0token\0", events);
        Assert.Contains("data/x/y\0token\0", events);
        Assert.Contains("/local/domain/1/data/x/y\0other\0", events);
        Assert.Contains("/local/domain/1/data/x\0other\0", events);
        Assert.DoesNotContain(events, e => e.Contains("database", StringComparison.Ordinal));
        Assert.Equal("OK\0", _store.Ask(StoreMessage.Unwatch, "data\0token\0"));
        Assert.Equal("ENOENT\0", _store.Ask(StoreMessage.Unwatch, "data\0token\0"));
    }

    [Fact]
    public void TheControlDomainsWritesReachWatches()
    {
        _store.Ask(StoreMessage.Watch, "control/shutdown\0s\0");
        _store.Events.Clear();
        Assert.False(_store.Bus.TryPowerOff());
        _store.Write("control/feature-poweroff", "1");
        _store.Events.Clear();
        Assert.True(_store.Bus.TryPowerOff());
        Assert.Equal(((uint)StoreMessage.WatchEvent, "control/shutdown\0s\0"), _store.Receive());
        Assert.Equal("poweroff", _store.Read("control/shutdown"));
        Assert.False(_store.Bus.TryRestart());
        _store.Write("control/feature-reboot", "1");
        Assert.True(_store.Bus.TryRestart());
        Assert.Equal("reboot", _store.Read("control/shutdown"));
        Assert.False(_store.Bus.TrySuspend());
        Assert.False(_store.Bus.Domain.HoldsSuspension);
        _store.Write("control/feature-suspend", "1");
        Assert.True(_store.Bus.TrySuspend(), "The guest has said that it knows how.");
        Assert.Equal("suspend", _store.Read("control/shutdown"));
        Assert.True(_store.Bus.Domain.HoldsSuspension);
        _store.Bus.Domain.IsSuspended = true;
        Assert.True(_store.Bus.IsSuspended, "The guest stands still.");
        _store.Bus.EndSuspension();
        Assert.False(_store.Bus.IsSuspended || _store.Bus.Domain.HoldsSuspension);
        _store.Bus.Target = 3 << 20;
        Assert.Equal("1024", _store.Read("memory/target"));
    }

    [Fact]
    public void TransactionsAreSeenWholeOrNotAtAll()
    {
        uint first = _store.Begin();
        Assert.Equal("OK\0", _store.Write("data/a", "1", first));
        Assert.Equal("ENOENT\0", _store.Read("data/a"));
        Assert.Equal("OK\0", _store.Ask(StoreMessage.TransactionEnd, "T\0", first));
        Assert.Equal("1", _store.Read("data/a"));
        uint second = _store.Begin();
        _store.Write("data/a", "2", second);
        _store.Write("data/b", "x");
        Assert.Equal("EAGAIN\0", _store.Ask(StoreMessage.TransactionEnd, "T\0", second));
        uint third = _store.Begin();
        _store.Write("data/a", "3", third);
        Assert.Equal("OK\0", _store.Ask(StoreMessage.TransactionEnd, "F\0", third));
        Assert.Equal("1", _store.Read("data/a"));
        Assert.Equal("ENOENT\0", _store.Write("data/a", "4", third));
        Assert.Equal("EINVAL\0", _store.Ask(StoreMessage.TransactionEnd, "X\0", 0));
        Assert.Equal("ENOENT\0", _store.Ask(StoreMessage.TransactionEnd, "T\0", 0));
    }

    [Fact]
    public void QuotasHold()
    {
        Assert.Equal("OK\0", _store.Write("data/long", new string('x', StoreLimits.Value)));
        Assert.Equal("ENOSPC\0", _store.Write("data/long", new string('x', StoreLimits.Value + 1)));
        int nodes = 0;
        while (nodes < 5000 && _store.Write($"data/longer-name-{nodes}", "") == "OK\0")
        {
            nodes++;
        }

        Assert.InRange(nodes, 500, StoreLimits.GuestNodes);
        Assert.Equal("ENOSPC\0", _store.Write("data/more", ""));
        Assert.Equal("guest", _store.Read("name"));
        for (int i = 0; i < StoreLimits.Transactions; i++)
        {
            _store.Begin();
        }

        Assert.Equal("ENOSPC\0", _store.Ask(StoreMessage.TransactionStart, "\0"));
        for (int i = 0; i < StoreLimits.Watches; i++)
        {
            Assert.Equal("OK\0", _store.Ask(StoreMessage.Watch, $"data\0{i}\0"));
        }

        Assert.Equal("E2BIG\0", _store.Ask(StoreMessage.Watch, "data\0more\0"));
        Assert.Equal("E2BIG\0", _store.Ask(StoreMessage.Watch, $"data\0{new string('t', 200)}\0"));
        Assert.Equal("OK\0", _store.Ask(StoreMessage.ResetWatches, "\0"));
        Assert.Equal("OK\0", _store.Ask(StoreMessage.Watch, "data\0more\0"));
        Assert.NotEqual(0u, _store.Begin());
        Assert.Equal("E2BIG\0", _store.Ask(StoreMessage.Directory, "data\0"));
    }

    [Fact]
    public void ValuesThatFillTheTreeAreRefusedAndGivenBack()
    {
        int stored = 0;
        while (stored < 200 && _store.Write($"data/v{stored}", new string('v', 2000)) == "OK\0")
        {
            stored++;
        }

        Assert.InRange(stored, 30, 100);

        // What is refused has changed nothing: no node, no value, and not what another transaction is about.
        string value = new('w', 100);
        Assert.Equal("OK\0", _store.Write("data/v0", value));
        while (_store.Write($"data/v{stored}", value) == "OK\0")
        {
            stored++;
        }

        uint transaction = _store.Begin();
        Assert.Equal("OK\0", _store.Write("data/v1", "x", transaction));
        Assert.Equal(("ENOSPC\0", "ENOSPC\0"), (_store.Write("data/v0", new string('v', 2048)), _store.Write("data/deep/er", new string('v', 2048))));
        Assert.Equal((value, "ENOENT\0"), (_store.Read("data/v0"), _store.Read("data/deep")));
        Assert.Equal("OK\0", _store.Ask(StoreMessage.TransactionEnd, "T\0", transaction));
        Assert.Equal("OK\0", _store.Ask(StoreMessage.Remove, "data\0"));
        Assert.Equal("EACCES\0", _store.Write("data/again", "x"));
        Assert.Equal("OK\0", _store.Write("attr/again", new string('v', 2000)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2000)]
    public void AGuestThatFillsItsShareLeavesTheControlDomainItsOwn(int length)
    {
        const int Devices = 8;
        int stored = 0;
        while (stored < 2000 && _store.Write($"data/v{stored}", new string('v', length)) == "OK\0")
        {
            stored++;
        }

        Assert.InRange(stored, 30, StoreLimits.GuestNodes);
        while (stored < 4000 && _store.Write($"data/v{stored}", "") == "OK\0")
        {
            stored++;
        }

        // As many as can come: a guest that finds nothing of a device in the store has none.
        for (int i = 0; i < Devices; i++)
        {
            _store.Bus.Insert(new NetworkBackEnd(_store.Bus, StoreClient.NewLock(), i, [new TestNetwork()], [2, 0, 0, 0, 0, (byte)i]));
        }

        for (int i = 0; i < BlockBackEnd.MaximumDisks; i++)
        {
            _store.Bus.Insert(new BlockBackEnd(_store.Bus, StoreClient.NewLock(), i, new TestDisk(1 << 20), persistentGrants: false));
        }

        Assert.Equal(("2", "1"), (_store.Read("/local/domain/0/backend/vif/1/7/state"), _store.Read("/local/domain/1/device/vif/7/state")));
        Assert.Equal(("2", "1"), (_store.Read("/local/domain/0/backend/vbd/1/51952/state"), _store.Read("/local/domain/1/device/vbd/51952/state")));
        Assert.Equal("ENOSPC\0", _store.Write("data/more", "x"));
        _store.GoOn(isSame: false);
        Assert.Equal("ENOSPC\0", _store.Write("data/more", "x"));
    }

    [Fact]
    public void AllEventsAreToldToAGuestThatTakesThemMeanwhile()
    {
        const int Rounds = 50;
        const uint AnswerConsumer = 2056;
        const uint AnswerProducer = 2060;
        const uint RingLength = 1024;
        for (int i = 0; i < StoreLimits.Watches; i++)
        {
            Assert.Equal("OK\0", _store.Ask(StoreMessage.Watch, $"attr\0{i:d3}\0"));
        }

        _store.Read("name");
        const uint EventLength = 16 + 5 + 4;
        for (int round = 0; round < Rounds; round++)
        {
            // Another processor of the guest reads as Linux does: it says that there is room where the ring was full.
            uint end = _store.Get(AnswerProducer) + (StoreLimits.Watches * EventLength);
            bool told = false;
            Thread reader = new(() =>
            {
                while (_store.Get(AnswerConsumer) != end && !(Volatile.Read(ref told) && _store.Get(AnswerConsumer) == _store.Get(AnswerProducer)))
                {
                    uint before = _store.Get(AnswerConsumer);
                    _store.Set(AnswerConsumer, _store.Get(AnswerProducer));
                    Interlocked.MemoryBarrier();
                    if (_store.Get(AnswerProducer) - before >= RingLength)
                    {
                        _store.Kick();
                    }
                }
            });
            reader.Start();
            _store.Bus.Store.Put("/local/domain/1/attr"u8, "x"u8);
            _store.Bus.TellGuest();
            Volatile.Write(ref told, true);
            reader.Join();
            Assert.Equal(end, _store.Get(AnswerConsumer));
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("a//b")]
    [InlineData("a/")]
    [InlineData("a b")]
    [InlineData("//")]
    [InlineData("a\u007f")]
    public void PathsThatAreNoneAreRefused(string path)
    {
        Assert.Equal("EINVAL\0", _store.Read(path));
        Assert.Equal("EINVAL\0", _store.Read(new string('p', StoreLimits.Path + 1)));
        Assert.Equal("EINVAL\0", _store.Ask(StoreMessage.Read, "without-end"));
    }

    [Fact]
    public void UnknownMessagesAreRefusedAndLongOnesEndTheConnection()
    {
        Assert.Equal("ENOSYS\0", _store.Ask((StoreMessage)99, "name\0"));
        _store.Send((uint)StoreMessage.Read, [], 0, claimed: 5000);
        Assert.Equal(3u, _store.Get(2072));
        uint consumed = _store.Get(2048);
        _store.Set(2052, consumed + 4);
        _store.Kick();
        Assert.Equal(consumed, _store.Get(2048));
    }

    [Fact]
    public void IndexesThatCannotBeEndTheConnectionUntilAReset()
    {
        _store.Set(2052, 5000);
        _store.Kick();
        Assert.Equal(2u, _store.Get(2072));
        _store.Personality.Reset();
        _store.Bus.Reset();
        Assert.Equal("guest", _store.Read("name"));
    }

    [Fact]
    public void MessagesComeInPiecesAndAnswersWaitForRoom()
    {
        string value = new('z', 2000);
        Assert.Equal("OK\0", _store.Write("data/z", value));
        _store.Send((uint)StoreMessage.Read, System.Text.Encoding.ASCII.GetBytes("data/z\0"), 0);
        _store.Send((uint)StoreMessage.Read, System.Text.Encoding.ASCII.GetBytes("name\0"), 0);
        Assert.Equal(value, _store.Receive().Payload);
        Assert.Equal("guest", _store.Receive().Payload);
    }
}
