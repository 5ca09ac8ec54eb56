using System.Buffers.Binary;
using Lamina.Machine.AddressSpaces;
using Lamina.Personalities.HyperV;
using Lamina.Personalities.HyperV.Diagnostics;
using Lamina.Personalities.Tests.Fakes;

namespace Lamina.Personalities.Tests.HyperV;

/// <summary>Connections that lead back to the guest, for programs that test it.</summary>
public sealed class ConnectionTestDeviceTests : IDisposable
{
    private const ulong Page = GuestRam.Start;
    private const ulong EventPage = Page + 0x1000;
    private const int Source = 8;
    private const ulong Slot = Page + (Source * 256);
    private const byte Vector = 0x45;
    private const byte Interrupt = 3;
    private const byte ConnectMessages = 4;
    private const byte DisconnectMessages = 5;
    private const byte ConnectEvents = 6;
    private const byte DisconnectEvents = 7;

    private readonly TestHost _host = new();
    private readonly HyperVPersonality _hypervisor;
    private readonly OtherPort _other = new();
    private readonly ConnectionTestDevice _device;
    private readonly IPartitionPort _port;

    public ConnectionTestDeviceTests()
    {
        _hypervisor = new HyperVPersonality(_host.CreateSettings()) { Port = _other };
        _device = new ConnectionTestDevice("hvtestdev", new CheckedLock(), _hypervisor);
        _port = _device;
        foreach ((uint index, ulong value) in ((uint, ulong)[])
            [(HyperVMsr.MessagePage, Page | 1), (HyperVMsr.EventFlagsPage, EventPage | 1), (HyperVMsr.SControl, 1), (HyperVMsr.FirstSint + Source, Vector)])
        {
            Assert.True(_hypervisor.TryWriteMsr(1, 0, index, value));
        }
    }

    public void Dispose() => _host.Dispose();

    [Fact]
    public void A_message_comes_back_and_another_waits_for_its_place()
    {
        Control(ConnectMessages, processor: 1, Source, 0x10);
        Assert.True(_port.TryPostMessage(0x10, 0x1234, [1, 2]));
        Assert.Equal((0xfee0_1000UL, (uint)Vector), Assert.Single(_host.Messages.Sent));
        Assert.Equal("3412000002000000000000000000000001", Convert.ToHexString(_host.Ram.Get(Slot, 17)));
        Assert.True(_port.TryPostMessage(0x10, 0x1235, [3, 4]));
        Assert.Equal(1, _host.Ram.Get<byte>(Slot + 5));
        Assert.False(_port.TryPostMessage(0x10, 0x1236, [5]), "a third message was taken");
        _port.OnEndOfMessage();
        Assert.Single(_host.Messages.Sent);

        _host.Ram.Set(Slot, 0u);
        _port.OnEndOfMessage();
        Assert.Equal(0x1235u, _host.Ram.Get<uint>(Slot));
        Assert.Equal(2, _host.Messages.Sent.Count);
        Assert.Equal(2, _other.Ends);
        Control(DisconnectMessages, 1, Source, 0x10);
        Assert.False(_port.TryPostMessage(0x10, 1, []));
    }

    [Fact]
    public void An_event_comes_back_as_the_connections_flag()
    {
        Control(ConnectEvents, processor: 1, Source, 0x21);
        Assert.True(_port.TrySignalEvent(0x21));
        Assert.True(_port.TrySignalEvent(0x21));
        Assert.Single(_host.Messages.Sent);
        Assert.Equal(2u, _host.Ram.Get<uint>(EventPage + (Source * 256) + 4));
        Control(DisconnectEvents, 1, Source, 0x21);
        Assert.False(_port.TrySignalEvent(0x21));
    }

    [Fact]
    public void A_source_is_raised_where_the_guest_lets_it()
    {
        Control(Interrupt, 1, Source, 0);
        Assert.Single(_host.Messages.Sent);
        Control(Interrupt, 1, 9, 0);
        Control(Interrupt, 2, Source, 0);
        Control(Interrupt, 0xff, Source, 0);
        Assert.Equal(AccessResult.Done, _device.Write(0, [Source, 1]));
        Assert.Equal(AccessResult.Done, _device.Write(1, [Source, 1, Interrupt, 0]));
        Assert.Single(_host.Messages.Sent);
    }

    [Fact]
    public void Other_connections_go_to_whoever_took_them_before()
    {
        Assert.True(_port.TryPostMessage(OtherPort.Connection, 7, [1]));
        Assert.Equal(7u, _other.Type);
        Assert.True(_port.TrySignalEvent(OtherPort.Connection));
        Assert.False(_port.TryPostMessage(0x1_0010, 1, []));
        Assert.Empty(_host.Messages.Sent);
    }

    [Fact]
    public void Connections_and_what_waits_are_saved_and_gone_after_a_reset()
    {
        Control(ConnectMessages, 1, Source, 0x10);
        Control(ConnectEvents, 1, Source, 0x21);
        Assert.True(_port.TryPostMessage(0x10, 1, new byte[240]));
        Assert.True(_port.TryPostMessage(0x10, 2, [9]));
        StateBag state = new();
        _device.Save(state);
        _device.Reset();
        Assert.False(_port.TryPostMessage(0x10, 1, []));
        Assert.False(_port.TrySignalEvent(0x21));

        Assert.True(_device.Restore(state));
        _host.Ram.Set(Slot, 0u);
        _port.OnEndOfMessage();
        Assert.Equal((2u, (byte)1, (byte)9), (_host.Ram.Get<uint>(Slot), _host.Ram.Get<byte>(Slot + 4), _host.Ram.Get<byte>(Slot + 16)));
        Assert.True(_port.TrySignalEvent(0x21));
    }

    [Theory]
    [InlineData(0x8020)] // Processor 2 of two.
    [InlineData(0x0010)] // Not marked as a connection.
    public void A_state_with_connections_to_nowhere_is_refused(ushort route)
    {
        StateBag state = new();
        _device.Save(state);
        BinaryPrimitives.WriteUInt16LittleEndian(state.Bytes[1].AsSpan(0x20), route);
        Assert.False(_device.Restore(state));
        Assert.False(_device.Restore(state.Without(2)));
        Assert.False(_port.TryPostMessage(0x10, 1, []));
    }

    private void Control(byte command, byte processor, byte source, byte connection) =>
        Assert.Equal(AccessResult.Done, _device.Write(0, [source, processor, command, connection]));

    private sealed class OtherPort : IPartitionPort
    {
        internal const uint Connection = 4;

        internal uint Type { get; private set; }

        internal int Ends { get; private set; }

        public bool TryPostMessage(uint connection, uint type, ReadOnlySpan<byte> payload)
        {
            Type = type;
            return connection == Connection;
        }

        public bool TrySignalEvent(uint connection) => connection == Connection;

        public void OnEndOfMessage() => Ends++;
    }
}
