using System.Buffers.Binary;
using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;

namespace Lamina.Personalities.HyperV.Diagnostics;

/// <summary>
/// What programs that test a Hyper-V machine find where QEMU has its hyperv-testdev: a port by which they raise synthetic interrupts, and make connections that lead a message or an event back to a
/// source of one of their processors. What is sent to other connections goes to whoever took it before.
/// </summary>
public sealed class ConnectionTestDevice : IDevice, IPartitionPort, IRegisterWindow
{
    /// <summary>Its port, four bytes wide: the source, the processor, the command and the connection, from the lowest byte on.</summary>
    public const ushort Port = 0x3000;

    private const int PortLength = 4;
    private const int ConnectionCount = 256;
    private const int RouteLength = ConnectionCount * sizeof(ushort);
    private const ushort Connected = 0x8000;
    private const int ProcessorShift = 4;
    private const int SourceMask = SyntheticInterrupts.SourceCount - 1;
    private const int ProcessorMask = 0xff;
    private const byte SetInterrupt = 3;
    private const byte ConnectMessages = 4;
    private const byte DisconnectMessages = 5;
    private const byte ConnectEvents = 6;
    private const byte DisconnectEvents = 7;
    private const ushort MessageRoutesField = 1;
    private const ushort EventRoutesField = 2;
    private const ushort FirstWaitingField = 16;

    private readonly ILock _gate;
    private readonly HyperVPersonality _hypervisor;
    private readonly IPartitionPort? _next;

    // By connection: whether there is one, and for which processor's source.
    private readonly ushort[] _messageRoutes = new ushort[ConnectionCount];
    private readonly ushort[] _eventRoutes = new ushort[ConnectionCount];

    // Of each connection one message that its source has no place for yet: its type, its length, and what it says.
    private readonly uint[] _waitingTypes = new uint[ConnectionCount];
    private readonly byte[] _waitingLengths = new byte[ConnectionCount];
    private readonly byte[] _waiting = new byte[ConnectionCount * SyntheticInterrupts.MaximumPayload];

    /// <summary>Makes it, and has it take what the guest sends.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="gate">Its lock.</param>
    /// <param name="hypervisor">The guest's hypervisor.</param>
    public ConnectionTestDevice(string name, ILock gate, HyperVPersonality hypervisor)
    {
        Name = name;
        _gate = gate;
        _hypervisor = hypervisor;
        _next = hypervisor.Port;
        hypervisor.Port = this;
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>Maps <see cref="Port"/>.</summary>
    public void Map(AddressSpace ports) => ports.Map(Name, Port, PortLength, this);

    /// <inheritdoc/>
    public void Start()
    {
    }

    /// <inheritdoc/>
    public void Stop()
    {
    }

    /// <inheritdoc/>
    public void Reset()
    {
        _gate.Enter();
        Array.Clear(_messageRoutes);
        Array.Clear(_eventRoutes);
        Array.Clear(_waitingTypes);
        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        WriteRoutes(state, MessageRoutesField, _messageRoutes);
        WriteRoutes(state, EventRoutesField, _eventRoutes);
        Span<byte> waiting = stackalloc byte[sizeof(uint) + SyntheticInterrupts.MaximumPayload];
        for (int i = 0; i < ConnectionCount; i++)
        {
            if (_waitingTypes[i] != 0)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(waiting, _waitingTypes[i]);
                Waiting(i).CopyTo(waiting[sizeof(uint)..]);
                state.Write((ushort)(FirstWaitingField + i), waiting[..(sizeof(uint) + _waitingLengths[i])]);
            }
        }
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        bool valid = TryReadRoutes(state, MessageRoutesField, _messageRoutes) & TryReadRoutes(state, EventRoutesField, _eventRoutes);
        Span<byte> waiting = stackalloc byte[sizeof(uint) + SyntheticInterrupts.MaximumPayload];
        for (int i = 0; i < ConnectionCount; i++)
        {
            int length = state.TryRead((ushort)(FirstWaitingField + i), waiting);
            _waitingTypes[i] = 0;
            if (length >= sizeof(uint))
            {
                Keep(i, BinaryPrimitives.ReadUInt32LittleEndian(waiting), waiting[sizeof(uint)..length]);
            }
        }

        return valid;
    }

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, Span<byte> data)
    {
        data.Fill(0xff);
        return AccessResult.Done;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (data.Length == PortLength && offset == 0 && data[1] < _hypervisor.ProcessorCount)
        {
            Execute(data[2], data[1], data[0] & SourceMask, data[3]);
        }

        return AccessResult.Done;
    }

    /// <inheritdoc/>
    bool IPartitionPort.TryPostMessage(uint connection, uint type, ReadOnlySpan<byte> payload)
    {
        _gate.Enter();
        ushort route = connection < ConnectionCount ? _messageRoutes[connection] : (ushort)0;
        bool posted = route != 0;

        // Type 0 says that a place is empty.
        if (posted && type != 0 && !TryPost(route, type, payload))
        {
            posted = _waitingTypes[connection] == 0;
            if (posted)
            {
                Keep((int)connection, type, payload);
            }
        }

        _gate.Exit();
        return route != 0 ? posted : _next?.TryPostMessage(connection, type, payload) == true;
    }

    /// <inheritdoc/>
    bool IPartitionPort.TrySignalEvent(uint connection)
    {
        _gate.Enter();
        ushort route = connection < ConnectionCount ? _eventRoutes[connection] : (ushort)0;
        if (route != 0)
        {
            _hypervisor.Signal(ProcessorOf(route), route & SourceMask, (int)connection);
        }

        _gate.Exit();
        return route != 0 || _next?.TrySignalEvent(connection) == true;
    }

    /// <inheritdoc/>
    void IPartitionPort.OnEndOfMessage()
    {
        _gate.Enter();
        for (int i = 0; i < ConnectionCount; i++)
        {
            if (_waitingTypes[i] != 0 && (_messageRoutes[i] == 0 || TryPost(_messageRoutes[i], _waitingTypes[i], Waiting(i))))
            {
                _waitingTypes[i] = 0;
            }
        }

        _gate.Exit();
        _next?.OnEndOfMessage();
    }

    private void Execute(byte command, int processor, int source, int connection)
    {
        ushort route = (ushort)(Connected | (processor << ProcessorShift) | source);
        _gate.Enter();
        switch (command)
        {
            case SetInterrupt:
                _hypervisor.Interrupt(processor, source);
                break;
            case ConnectMessages:
                _messageRoutes[connection] = route;
                break;
            case DisconnectMessages:
                _messageRoutes[connection] = 0;
                break;
            case ConnectEvents:
                _eventRoutes[connection] = route;
                break;
            case DisconnectEvents:
                _eventRoutes[connection] = 0;
                break;
            default:
                // A way from the host to a source needs no making.
                break;
        }

        _gate.Exit();
    }

    private static int ProcessorOf(ushort route) => (route >> ProcessorShift) & ProcessorMask;

    private bool TryPost(ushort route, uint type, ReadOnlySpan<byte> payload) => _hypervisor.TryPost(ProcessorOf(route), route & SourceMask, type, payload);

    private Span<byte> Waiting(int connection) => _waiting.AsSpan(connection * SyntheticInterrupts.MaximumPayload, _waitingLengths[connection]);

    private void Keep(int connection, uint type, ReadOnlySpan<byte> payload)
    {
        _waitingTypes[connection] = type;
        _waitingLengths[connection] = (byte)payload.Length;
        payload.CopyTo(Waiting(connection));
    }

    private static void WriteRoutes(IStateWriter state, ushort field, ReadOnlySpan<ushort> routes)
    {
        Span<byte> bytes = stackalloc byte[RouteLength];
        for (int i = 0; i < ConnectionCount; i++)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(bytes[(i * sizeof(ushort))..], routes[i]);
        }

        state.Write(field, bytes);
    }

    private bool TryReadRoutes(IStateReader state, ushort field, Span<ushort> routes)
    {
        Span<byte> bytes = stackalloc byte[RouteLength];
        bool valid = state.TryRead(field, bytes) == RouteLength;
        for (int i = 0; i < ConnectionCount; i++)
        {
            ushort route = BinaryPrimitives.ReadUInt16LittleEndian(bytes[(i * sizeof(ushort))..]);
            bool fits = valid && (route == 0 || ((route & Connected) != 0 && ((route & ~Connected) >> ProcessorShift) < _hypervisor.ProcessorCount));
            routes[i] = fits ? route : (ushort)0;
            valid &= fits;
        }

        return valid;
    }
}
