using System.Buffers.Binary;
using Lamina.Machine;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;
using Lamina.Machine.Time;

namespace Lamina.Personalities.HyperV.VmBus;

/// <summary>
/// VMBus as the parent partition serves it (Linux, include/linux/hyperv.h and drivers/hv): versions 2.4 to 5.3, offers, lists of pages, channels. What a guest gets wrong is refused, or closes
/// its own channel.
/// </summary>
public sealed partial class VmBusController : IDevice, IPartitionPort, ITimerTarget
{
    /// <summary>The connection of a channel's events is its number and this.</summary>
    internal const uint FirstConnection = 0x1_0000;

    /// <summary>Most devices. Their first channels have the first numbers, and sub-channels the others.</summary>
    internal const int MaximumDevices = 32;

    private const int FirstOnDemand = 192;

    private const uint MessageType = 1;
    private const uint OldMessageConnection = 1;
    private const uint MessageConnection = 4;
    private const int MessageHeader = 8;
    private const int QueueLength = 128;
    private const uint Failed = 0xc000_0001;
    private const ushort EnumerateInterface = 1;
    private const int OfferLength = 196;

    // A sub-channel that was withdrawn is the guest's until it gives it back, and it may want others by then.
    private const int PlacesPerSubChannel = 2;

    private readonly ILock _gate;
    private readonly GuestMemory _memory;
    private readonly HyperVPersonality _hypervisor;
    private readonly GpadlTable _gpadls = new();
    private VmBusChannel?[] _channels = new VmBusChannel?[FirstOnDemand];
    private readonly byte[] _queue = new byte[QueueLength * SyntheticInterrupts.MaximumPayload];
    private readonly int[] _lengths = new int[QueueLength];
    private readonly IClockTimer _again;

    // How far the places of first channels, and of sub-channels, go that are taken.
    private int _deviceCount;
    private int _subChannelCount;
    private int _onDemandCount;
    private int _owing;
    private int _queued;
    private int _first;
    private uint _version;
    private bool _awaitsRequest = true;
    private int _target;
    private bool _stopped = true;

    /// <summary>Makes a bus without devices; the lock is its own.</summary>
    public VmBusController(string name, ILock gate, GuestMemory memory, HyperVPersonality hypervisor)
    {
        Name = name;
        _gate = gate;
        _memory = memory;
        _hypervisor = hypervisor;
        _again = hypervisor.Clock.CreateTimer(this);
        hypervisor.Port = this;
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>The lock under which devices are called.</summary>
    internal ILock Gate => _gate;

    /// <summary>The machine clock.</summary>
    internal IMachineClock Clock => _hypervisor.Clock;

    /// <summary>Number of processors.</summary>
    internal int ProcessorCount => _hypervisor.ProcessorCount;

    /// <summary>Whether the machine stands still. With the lock held.</summary>
    internal bool IsStopped => _stopped;

    // Null where there is none.
    private ReadOnlySpan<VmBusChannel?> Devices => _channels.AsSpan(0, _deviceCount);

    private ReadOnlySpan<VmBusChannel?> Channels => _onDemandCount != 0 ? _channels : DeviceChannels;

    // Without those that are offered on demand.
    private ReadOnlySpan<VmBusChannel?> DeviceChannels => _channels.AsSpan(0, _subChannelCount == 0 ? _deviceCount : MaximumDevices + _subChannelCount);

    /// <inheritdoc/>
    bool IPartitionPort.TryPostMessage(uint connection, uint type, ReadOnlySpan<byte> payload)
    {
        if (connection is not (OldMessageConnection or MessageConnection))
        {
            return false;
        }

        bool drain = false;
        _gate.Enter();
        if (payload.Length >= MessageHeader)
        {
            drain = Handle((ChannelMessage)BinaryPrimitives.ReadUInt32LittleEndian(payload), payload);
        }

        Flush();
        _gate.Exit();
        if (drain)
        {
            Drain();
        }

        return true;
    }

    /// <inheritdoc/>
    bool IPartitionPort.TrySignalEvent(uint connection)
    {
        if (Find(connection - FirstConnection) is not { } channel)
        {
            return false;
        }

        _gate.Enter();
        Process(channel);
        Flush();
        _gate.Exit();
        channel.Device.OnProcessed();
        return true;
    }

    /// <inheritdoc/>
    void IPartitionPort.OnEndOfMessage()
    {
        _gate.Enter();
        Flush();
        _gate.Exit();
    }

    /// <summary>Has a channel look for packets that its device could not take before. With the lock held.</summary>
    internal void Process(VmBusChannel channel)
    {
        if (_stopped || !channel.IsOpen)
        {
            return;
        }

        if (channel.Process())
        {
            _again.Arm(_hypervisor.Clock.Now);
        }

        if (!channel.IsOpen)
        {
            // Its ring could not be right.
            Close(channel);
        }
    }

    /// <summary>Has all channels of a device look, and the guest told of what came of it. With the lock held.</summary>
    internal void ProcessAll(IVmBusDevice device)
    {
        foreach (VmBusChannel? channel in Channels)
        {
            if (channel?.Device == device && channel.IsOpen)
            {
                Process(channel);
            }
        }

        // No guest's call does it here: a packet that waited may have asked for sub-channels, or a ring been found wrong.
        Flush();
    }

    /// <summary>Offers sub-channels of a channel's. With the lock held; the offers go out when it is given up.</summary>
    /// <returns>How many there are.</returns>
    internal int OfferSubChannels(VmBusChannel primary, int count)
    {
        int offered = 0;
        foreach (VmBusChannel? channel in Channels)
        {
            if (offered < count && channel?.Primary == primary && channel.Offer == ChannelOffer.None)
            {
                channel.Offer = ChannelOffer.Offered;
                channel.SubIndex = ++offered;
                OweOffer(channel);
            }
        }

        return offered;
    }

    /// <summary>The pages of a list of a channel's; empty if it has no such list. With the lock held.</summary>
    internal ReadOnlySpan<ulong> GetPages(VmBusChannel channel, uint gpadl) => _gpadls.GetPages(gpadl, channel.Number);

    /// <inheritdoc/>
    public void OnTimer()
    {
        foreach (VmBusChannel? channel in Channels)
        {
            if (channel is not null && (channel.Stream is null || channel.IsOpen))
            {
                _gate.Enter();
                Process(channel);
                Flush();
                _gate.Exit();
                channel.Device.OnProcessed();
            }
        }
    }

    /// <inheritdoc/>
    public void Start()
    {
        _gate.Enter();
        _stopped = false;
        foreach (VmBusChannel? channel in Channels)
        {
            if (channel is not null)
            {
                Process(channel);
            }
        }

        Flush();
        _gate.Exit();
        foreach (VmBusChannel? channel in Devices)
        {
            channel?.Device.OnStarted();
        }
    }

    /// <inheritdoc/>
    public void Stop()
    {
        foreach (VmBusChannel? channel in Devices)
        {
            channel?.Device.OnStopping();
        }

        _again.Cancel();
        _gate.Enter();
        _stopped = true;
        _gate.Exit();
        Drain();
    }

    /// <inheritdoc/>
    public void Reset()
    {
        _gate.Enter();
        Disconnect();
        _gate.Exit();
        Drain();
    }

    private static uint Word(ReadOnlySpan<byte> message, int offset) => message.Length >= offset + 4 ? BinaryPrimitives.ReadUInt32LittleEndian(message[offset..]) : 0;

    private static bool IsSupported(uint version) =>
        version is 0x2_0004 or 0x3_0000 or 0x4_0000 or 0x4_0001 or 0x5_0000 or 0x5_0001 or 0x5_0002 or 0x5_0003;

    private void Drain()
    {
        foreach (VmBusChannel? channel in Devices)
        {
            channel?.Device.Drain();
        }
    }

    private void Disconnect()
    {
        // Sub-channels first.
        for (int i = Channels.Length - 1; i >= 0; i--)
        {
            if (_channels[i] is { } channel)
            {
                Forget(channel);
            }
        }

        _gpadls.Reset();
        _version = 0;
        _awaitsRequest = true;
        _queued = 0;
    }

    // True: what is under way has to end before the guest goes on.
    private bool Handle(ChannelMessage type, ReadOnlySpan<byte> message)
    {
        switch (type)
        {
            case ChannelMessage.InitiateContact:
                InitiateContact(message);
                break;
            case ChannelMessage.RequestOffers:
                _awaitsRequest = false;
                OfferAll();
                break;
            case ChannelMessage.OpenChannel:
                Open(message);
                break;
            case ChannelMessage.CloseChannel:
                Close(Find(Word(message, 8)));
                return true;
            case ChannelMessage.RelidReleased:
                if (Find(Word(message, 8)) is { } released && (released.Primary is not null || released.Stream is not null || released.IsLeaving))
                {
                    Forget(released);
                    _gpadls.RemoveAll(released.Number);
                    return true;
                }

                break;
            case ChannelMessage.GpadlHeader when message.Length >= 28:
                uint handle = Word(message, 12);
                if (Find(Word(message, 8)) is { Offer: not ChannelOffer.None } && _gpadls.TryBegin(handle, Word(message, 8), BinaryPrimitives.ReadUInt16LittleEndian(message[16..]), BinaryPrimitives.ReadUInt16LittleEndian(message[18..]), message[20..]))
                {
                    AnswerGpadl(handle);
                }
                else
                {
                    Send(ChannelMessage.GpadlCreated, Word(message, 8), handle, Failed);
                }

                break;
            case ChannelMessage.GpadlBody when message.Length > 16:
                _gpadls.Continue(Word(message, 12), message[16..]);
                AnswerGpadl(Word(message, 12));
                break;
            case ChannelMessage.GpadlTeardown:
                _gpadls.Remove(Word(message, 12));
                Send(ChannelMessage.GpadlTorndown, Word(message, 12));
                break;
            case ChannelMessage.Unload:
                Disconnect();
                Send(ChannelMessage.UnloadResponse);
                return true;
            case ChannelMessage.ConnectRequest when _version != 0 && message.Length >= ConnectLength:
                _sockets?.Connect(new Guid(message.Slice(8, GuidLength)), new Guid(message.Slice(8 + GuidLength, GuidLength)));
                break;
            case ChannelMessage.ModifyChannel:
                if (Find(Word(message, 8)) is { } channel)
                {
                    channel.Target = (int)Word(message, 12);
                }

                if (_version >= 0x5_0003)
                {
                    Send(ChannelMessage.ModifyChannelResponse, Word(message, 8), 0);
                }

                break;
        }

        return false;
    }

    private VmBusChannel? Find(uint number) => number - 1 < (uint)_channels.Length ? _channels[number - 1] : null;

    // The guest knows of none but those that it is always offered.
    private void Forget(VmBusChannel channel)
    {
        channel.Close();
        channel.Offer = channel.Primary is null && channel.Stream is null && !channel.IsLeaving ? ChannelOffer.Offered : ChannelOffer.None;
        _owing -= (channel.OwesOffer ? 1 : 0) + (channel.OwesRescind ? 1 : 0);
        channel.OwesOffer = channel.OwesRescind = false;
        channel.Stream?.OnReleased();
    }

    private VmBusChannel Add(IVmBusDevice device, int index, VmBusChannel? primary)
    {
        VmBusChannel channel = new(_memory, _hypervisor, device, (uint)index + 1, primary);
        _channels[index] = channel;
        return channel;
    }

    // With a device's first channel the others go.
    private void Close(VmBusChannel? closed)
    {
        foreach (VmBusChannel? channel in Channels)
        {
            if (closed is not null && channel?.Primary == closed)
            {
                channel.Close();
                Withdraw(channel);
            }
        }

        closed?.Close();
        if (closed?.Stream is not null)
        {
            Withdraw(closed);
        }
    }

    private void InitiateContact(ReadOnlySpan<byte> message)
    {
        Disconnect();
        uint version = Word(message, 8);
        bool supported = IsSupported(version);
        _version = supported ? version : 0;
        uint target = Word(message, 12);
        _target = target < (uint)_hypervisor.ProcessorCount ? (int)target : 0;
        Send(ChannelMessage.VersionResponse, supported ? 1u : 0, MessageConnection);
    }

    private void OfferAll()
    {
        if (_version == 0)
        {
            return;
        }

        foreach (VmBusChannel? channel in Devices)
        {
            if (channel is { Offer: ChannelOffer.Offered })
            {
                _owing -= channel.OwesOffer ? 1 : 0;
                channel.OwesOffer = false;
                Offer(channel);
            }
        }

        Send(ChannelMessage.AllOffersDelivered);
    }

    private void Offer(VmBusChannel channel)
    {
        const int Flags = 56;
        const int Megabytes = 58;
        const int PipeMode = 60;
        const int IsFromHost = 64;
        const int SubIndex = 180;
        const int Number = 184;
        const int IsDedicated = 190;
        const int Connection = 192;
        const ushort NamedPipe = 16;
        const ushort IsSocket = 0x2000;
        const uint MessagePipe = 4;
        Span<byte> offer = stackalloc byte[OfferLength];
        offer.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(offer, (uint)ChannelMessage.OfferChannel);
        channel.Device.InterfaceType.TryWriteBytes(offer[8..]);
        channel.Device.InstanceId.TryWriteBytes(offer[24..]);
        bool isStream = channel.Stream is not null;
        BinaryPrimitives.WriteUInt16LittleEndian(offer[Flags..], (ushort)(EnumerateInterface | (channel.Device.IsPipe || isStream ? NamedPipe : 0) | (isStream ? IsSocket : 0)));
        BinaryPrimitives.WriteUInt16LittleEndian(offer[Megabytes..], (ushort)((channel.Device as IMemoryOffer)?.Megabytes ?? 0));
        BinaryPrimitives.WriteUInt32LittleEndian(offer[PipeMode..], channel.Device.IsPipe ? MessagePipe : 0);
        offer[IsFromHost] = channel.Stream is { IsFromHost: true } ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteUInt16LittleEndian(offer[SubIndex..], (ushort)channel.SubIndex);
        BinaryPrimitives.WriteUInt32LittleEndian(offer[Number..], channel.Number);
        BinaryPrimitives.WriteUInt16LittleEndian(offer[IsDedicated..], 1);
        BinaryPrimitives.WriteUInt32LittleEndian(offer[Connection..], channel.Connection);
        Enqueue(offer);
    }

    private void Open(ReadOnlySpan<byte> message)
    {
        uint number = Word(message, 8);
        uint gpadl = Word(message, 16);
        bool opened = Find(number) is { } channel
            && channel.TryOpen(_gpadls.GetPages(gpadl, number), Word(message, 24), (int)Word(message, 20));
        Send(ChannelMessage.OpenChannelResult, number, Word(message, 12), opened ? 0 : Failed);
    }

    private void AnswerGpadl(uint handle)
    {
        if (_gpadls.IsComplete(handle, out uint channel))
        {
            Send(ChannelMessage.GpadlCreated, channel, handle, 0);
        }
    }

    private void Send(ChannelMessage type, params ReadOnlySpan<uint> words)
    {
        Span<byte> message = stackalloc byte[MessageHeader + (4 * sizeof(uint))];
        message.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(message, (uint)type);
        for (int i = 0; i < words.Length; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(message[(MessageHeader + (i * sizeof(uint)))..], words[i]);
        }

        Enqueue(message[..(MessageHeader + (words.Length * sizeof(uint)))]);
    }

    // A guest that asks for more than it reads loses answers.
    private void Enqueue(ReadOnlySpan<byte> message)
    {
        if (_queued < QueueLength)
        {
            int place = (_first + _queued++) % QueueLength;
            message.CopyTo(_queue.AsSpan(place * SyntheticInterrupts.MaximumPayload));
            _lengths[place] = message.Length;
        }
    }

    private void Flush()
    {
        Replenish();
        while (_queued > 0 && !_stopped)
        {
            ReadOnlySpan<byte> message = _queue.AsSpan(_first * SyntheticInterrupts.MaximumPayload, _lengths[_first]);
            if (!_hypervisor.TryPost(_target, VmBusChannel.Source, MessageType, message))
            {
                return;
            }

            _first = (_first + 1) % QueueLength;
            _queued--;
            Replenish();
        }
    }
}
