using Lamina.Personalities.HyperV.Integration;

namespace Lamina.Personalities.Tests.HyperV;

/// <content>Services of a machine that is saved.</content>
public sealed partial class IntegrationServiceTests
{
    [Fact]
    public void AGuestThatWasAskedAnswersInAnotherMachine()
    {
        HeartbeatService service = new(_guest.Bus);
        Start();
        Negotiate(3, 0, 3, 0);
        byte[] request = Take(1);
        _guest.Host.Clock.Advance(9 * Second);
        _guest.GoOn(bus => service = new HeartbeatService(bus));
        Assert.True(service.IsAlive);
        _guest.Host.Clock.Advance(Second);
        Assert.False(service.IsAlive);
        Assert.Null(_guest.Take());
        Answer(request, 0);
        Assert.True(service.IsAlive);
        Assert.Equal(2, Take(1)[28]);
    }

    [Fact]
    public void AStopThatIsWantedIsAskedForInAnotherMachine()
    {
        ShutdownService service = new(_guest.Bus);
        Start();
        byte[] negotiation = [.. Take(0)];
        _guest.GoOn(bus => service = new ShutdownService(bus));

        // It was asked for its versions before.
        Assert.Null(_guest.Take());
        (negotiation[28], negotiation[30], negotiation[36], negotiation[38], negotiation[40], negotiation[42]) = (1, 1, 3, 0, 3, 2);
        Answer(negotiation, 0);
        Assert.True(service.TryPowerOff());
        byte[] request = Take(3);
        Assert.True(service.TryPowerOff());
        _guest.GoOn(bus => service = new ShutdownService(bus));
        Assert.Null(_guest.Take());
        Answer(request, 0);
        Assert.Equal(2060, Size(Take(3)));
    }

    [Fact]
    public void TheTimeIsSetInAnotherMachine()
    {
        _ = new TimeSyncService(_guest.Bus);
        Start();
        Negotiate(3, 0, 4, 0);
        Answer(Take(4), 0);
        _guest.GoOn(static bus => _ = new TimeSyncService(bus));
        Assert.Equal(1, Take(4)[28 + 16]);
    }

    [Fact]
    public void WhatTheGuestHasSaidIsKnownInAnotherMachine()
    {
        KeyValueService service = new(_guest.Bus);
        Start();
        Negotiate(3, 0, 4, 0);
        Say("OSName", "Debian");
        byte[] request = Take(2);
        _guest.GoOn(bus => service = new KeyValueService(bus));
        Assert.Equal(("Debian", null), (service.Find("OSName"), service.Find("OSVersion")));
        Answer(Value(request, "OSVersion", "6.1"), 0);
        Assert.Equal(("Debian", "6.1"), (service.Find("OSName"), service.Find("OSVersion")));
        Assert.Equal(2, Take(2)[32]);
    }

    [Fact]
    public void AStateThatCannotBeIsRefused()
    {
        KeyValueService service = new(_guest.Bus);
        Start();
        Negotiate(3, 0, 4, 0);
        Say("OSName", "Debian");
        _guest.RefusesWhatCannotBe("kvp0", bus => service = new KeyValueService(bus));
        Assert.Null(service.Find("OSName"));
    }
}
