using System.Buffers.Binary;
using Lamina.Machine.Time;
using Lamina.Personalities.HyperV.VmBus;

namespace Lamina.Personalities.HyperV.Integration;

/// <summary>
/// A service of the parent partition to the guest's system (Linux, drivers/hv/hv_util.c and vmbus_prep_negotiate_resp): a channel with one request at a time, each of which the guest answers. The
/// first agrees on versions; a guest that knows none of them is asked nothing more.
/// </summary>
public abstract partial class IntegrationService : IVmBusDevice, ITimerTarget
{
    /// <summary>Most bytes of a message without its headers.</summary>
    private protected const int MaximumBody = 2580;

    private const int PipeHeader = 8;
    private const int Header = 28;
    private const int TypeOffset = 12;
    private const int VersionOffset = 14;
    private const int SizeOffset = 18;
    private const int StatusOffset = 20;
    private const int FlagsOffset = 25;
    private const int NegotiationLength = 8;
    private const uint PipeData = 1;
    private const byte Transaction = 1;
    private const byte Request = 2;
    private const byte Response = 4;

    private static readonly ServiceVersion[] FrameworkVersions = [new(1, 0), new(3, 0)];

    private readonly VmBusController _bus;
    private readonly IClockTimer _timer;
    private readonly ulong _period;
    private readonly ServiceVersion[] _versions;
    private readonly byte[] _message = new byte[(Header + MaximumBody + 7) & ~7];
    private VmBusChannel? _channel;
    private ServiceVersion _framework;
    private State _state;

    /// <summary>Makes it and puts it on the bus.</summary>
    /// <param name="bus">The bus.</param>
    /// <param name="name">The key of its saved state.</param>
    /// <param name="type">The kind of service.</param>
    /// <param name="instance">Which one.</param>
    /// <param name="message">Its messages.</param>
    /// <param name="versions">The versions that are known here, the oldest first.</param>
    /// <param name="period">Nanoseconds between calls of <see cref="OnPeriod"/>.</param>
    private protected IntegrationService(VmBusController bus, string name, Guid type, Guid instance, IntegrationMessage message, ServiceVersion[] versions, ulong period)
    {
        ArgumentNullException.ThrowIfNull(bus);
        _bus = bus;
        Clock = bus.Clock;
        _timer = Clock.CreateTimer(this);
        _period = period;
        _versions = versions;
        (Name, Type, Instance, Message) = (name, type, instance, message);
        bus.TryAdd(this);
    }

    private enum State
    {
        /// <summary>No driver.</summary>
        Closed,

        /// <summary>The guest is to be asked for its versions.</summary>
        Opened,

        /// <summary>It was asked for them.</summary>
        Negotiating,

        /// <summary>Nothing is under way.</summary>
        Idle,

        /// <summary>A request is.</summary>
        Asked,

        /// <summary>The guest knows no version that is known here.</summary>
        Refused,
    }

    string IVmBusDevice.Name => Name;

    Guid IVmBusDevice.InterfaceType => Type;

    Guid IVmBusDevice.InstanceId => Instance;

    int IVmBusDevice.PageQuota => 64;

    int IVmBusDevice.SubChannelCount => 0;

    int IVmBusDevice.SubChannelPages => 0;

    bool IVmBusDevice.IsPipe => true;

    bool IVmBusDevice.IsReady => true;

    /// <summary>The machine clock.</summary>
    private protected IMachineClock Clock { get; }

    /// <summary>The lock under which all but construction happens.</summary>
    private protected Machine.ILock Gate => _bus.Gate;

    /// <summary>The version that was agreed on.</summary>
    private protected ServiceVersion Version { get; private set; }

    /// <summary>Whether the guest has agreed. With the lock held.</summary>
    private protected bool IsAgreed => _state is State.Idle or State.Asked;

    private string Name { get; }

    private Guid Type { get; }

    private Guid Instance { get; }

    private IntegrationMessage Message { get; }

    /// <inheritdoc/>
    public void OnTimer()
    {
        Gate.Enter();
        if (!_bus.IsStopped && _channel is not null)
        {
            if (IsAgreed)
            {
                OnPeriod();
            }

            Poll();
            _timer.Arm(Clock.Now + _period);
        }

        Gate.Exit();
    }

    void IVmBusDevice.OnStarted() => Continue();

    /// <summary>The machine goes on after it stood still. Any thread, while no processor runs.</summary>
    public void Continue()
    {
        Gate.Enter();
        if (_channel is not null)
        {
            OnContinued();
            _timer.Arm(Clock.Now);
        }

        Gate.Exit();
    }

    void IVmBusDevice.OnStopping() => _timer.Cancel();

    // The guest is asked when it has heard that the channel is open.
    void IVmBusDevice.OnOpened(VmBusChannel channel)
    {
        _channel = channel;
        _state = State.Opened;
        _timer.Arm(Clock.Now);
    }

    void IVmBusDevice.OnClosed(VmBusChannel channel)
    {
        _channel = null;
        _state = State.Closed;
        _timer.Cancel();
        OnLost();
    }

    void IVmBusDevice.OnRoom() => Poll();

    void IVmBusDevice.OnProcessed()
    {
    }

    void IVmBusDevice.Drain()
    {
    }

    void IVmBusDevice.OnPacket(VmBusChannel channel, in VmBusPacket packet)
    {
        ReadOnlySpan<byte> data = packet.Data;
        if (data.Length < Header || (data[FlagsOffset] & Response) == 0)
        {
            return;
        }

        IntegrationMessage type = (IntegrationMessage)BinaryPrimitives.ReadUInt16LittleEndian(data[TypeOffset..]);
        ReadOnlySpan<byte> body = data[Header..];
        if (_state == State.Negotiating && type == IntegrationMessage.Negotiate)
        {
            Agree(body);
            Poll();
        }
        else if (_state == State.Asked && type == Message)
        {
            _state = State.Idle;
            OnAnswer(BinaryPrimitives.ReadUInt32LittleEndian(data[StatusOffset..]), body);
            Poll();
        }
    }

    /// <summary>Sends what there is to be sent. With the lock held.</summary>
    private protected void Poll()
    {
        if (_channel is null || _bus.IsStopped)
        {
            return;
        }

        Span<byte> body = _message.AsSpan(Header);
        if (_state == State.Opened)
        {
            body.Clear();
            if (TrySend(IntegrationMessage.Negotiate, Offer(body)))
            {
                _state = State.Negotiating;
            }
        }
        else if (_state == State.Idle)
        {
            body.Clear();
            int length = Compose(body[..MaximumBody]);
            if (length != 0 && TrySend(Message, length))
            {
                _state = State.Asked;
                OnSent();
            }
        }
    }

    /// <summary>Versions were agreed on.</summary>
    private protected abstract void OnAgreed();

    /// <summary>The time between calls has passed.</summary>
    private protected abstract void OnPeriod();

    /// <summary>The machine goes on after it stood still.</summary>
    private protected abstract void OnContinued();

    /// <summary>The driver has gone.</summary>
    private protected abstract void OnLost();

    /// <summary>Writes the next request, if there is any, into zeroes.</summary>
    /// <returns>Its length; 0 for none.</returns>
    private protected abstract int Compose(Span<byte> body);

    /// <summary>The request was sent.</summary>
    private protected abstract void OnSent();

    /// <summary>The guest has answered it.</summary>
    /// <param name="status">How it went there; 0 for well.</param>
    /// <param name="body">A copy of the answer, of any length.</param>
    private protected abstract void OnAnswer(uint status, ReadOnlySpan<byte> body);

    private static void Put(Span<byte> bytes, ServiceVersion version)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, version.Major);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[2..], version.Minor);
    }

    private static ServiceVersion Get(ReadOnlySpan<byte> bytes) => new(BinaryPrimitives.ReadUInt16LittleEndian(bytes), BinaryPrimitives.ReadUInt16LittleEndian(bytes[2..]));

    private int Offer(Span<byte> body)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(body, (ushort)FrameworkVersions.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(body[2..], (ushort)_versions.Length);
        int length = NegotiationLength;
        foreach (ServiceVersion version in FrameworkVersions)
        {
            Put(body[length..], version);
            length += sizeof(uint);
        }

        foreach (ServiceVersion version in _versions)
        {
            Put(body[length..], version);
            length += sizeof(uint);
        }

        return length;
    }

    private void Agree(ReadOnlySpan<byte> body)
    {
        _state = State.Refused;
        if (body.Length < NegotiationLength + (2 * sizeof(uint)) || BinaryPrimitives.ReadUInt32LittleEndian(body) != 0x1_0001)
        {
            return;
        }

        ServiceVersion framework = Get(body[NegotiationLength..]);
        ServiceVersion version = Get(body[(NegotiationLength + sizeof(uint))..]);
        if (FrameworkVersions.AsSpan().Contains(framework) && _versions.AsSpan().Contains(version))
        {
            (_framework, Version, _state) = (framework, version, State.Idle);
            OnAgreed();
        }
    }

    private bool TrySend(IntegrationMessage type, int length)
    {
        Span<byte> header = _message.AsSpan(0, Header);
        header.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(header, PipeData);
        BinaryPrimitives.WriteInt32LittleEndian(header[4..], Header - PipeHeader + length);
        BinaryPrimitives.WriteUInt16LittleEndian(header[TypeOffset..], (ushort)type);
        BinaryPrimitives.WriteUInt16LittleEndian(header[SizeOffset..], (ushort)length);
        header[FlagsOffset] = Transaction | Request;
        if (type != IntegrationMessage.Negotiate)
        {
            Put(header[PipeHeader..], _framework);
            Put(header[VersionOffset..], Version);
        }

        return _channel!.TrySend(VmBusPacket.InBand, 0, _message.AsSpan(0, (Header + length + 7) & ~7));
    }
}
