using System.Buffers.Binary;
using Lamina.Machine;
using Lamina.Machine.Devices;
using Lamina.Personalities.HyperV.VmBus;

namespace Lamina.Personalities.HyperV.Input;

/// <summary>A device of few and short messages: a channel, on which a driver first agrees on a version. What it answers has room in the ring, or waits until it has.</summary>
public abstract class SyntheticDevice : IVmBusDevice
{
    /// <summary>The type of a pipe's messages.</summary>
    private protected const uint PipeData = 1;

    /// <summary>Bytes before a pipe's message: its type, and its length.</summary>
    private protected const int PipeHeader = 8;

    private const int PagesOfRings = 160;

    private readonly VmBusController _bus;
    private readonly string _name;
    private readonly Guid _type;
    private readonly Guid _instance;
    private readonly int _longestAnswer;

    /// <summary>Makes it and puts it on the bus.</summary>
    private protected SyntheticDevice(VmBusController bus, string name, Guid type, Guid instance, int longestAnswer)
    {
        ArgumentNullException.ThrowIfNull(bus);
        _bus = bus;
        (_name, _type, _instance, _longestAnswer) = (name, type, instance, longestAnswer);
        bus.TryAdd(this);
    }

    string IVmBusDevice.Name => _name;

    Guid IVmBusDevice.InterfaceType => _type;

    Guid IVmBusDevice.InstanceId => _instance;

    int IVmBusDevice.PageQuota => PagesOfRings;

    int IVmBusDevice.SubChannelCount => 0;

    int IVmBusDevice.SubChannelPages => 0;

    bool IVmBusDevice.IsPipe => false;

    bool IVmBusDevice.IsReady => Channel is null || Channel.HasRoom(_longestAnswer);

    /// <summary>Its channel, if that is open. With the lock held.</summary>
    private protected VmBusChannel? Channel { get; private set; }

    /// <summary>Whether the machine stands still. With the lock held.</summary>
    private protected bool IsStopped => _bus.IsStopped;

    /// <summary>The lock under which all happens.</summary>
    private protected ILock Gate => _bus.Gate;

    void IVmBusDevice.OnStarted()
    {
    }

    void IVmBusDevice.OnStopping()
    {
    }

    void IVmBusDevice.OnOpened(VmBusChannel channel)
    {
        Channel = channel;
        Begin();
    }

    void IVmBusDevice.OnClosed(VmBusChannel channel)
    {
        Channel = null;
        Begin();
    }

    void IVmBusDevice.OnPacket(VmBusChannel channel, in VmBusPacket packet)
    {
        if (packet.Type != VmBusPacket.InBand)
        {
            return;
        }

        if (packet.WantsCompletion)
        {
            channel.TrySend(VmBusPacket.Completion, packet.TransactionId, []);
        }

        Take(packet.Data);
    }

    void IVmBusDevice.OnRoom()
    {
    }

    void IVmBusDevice.OnProcessed()
    {
    }

    void IVmBusDevice.Drain()
    {
    }

    void IVmBusDevice.Save(IStateWriter state) => Save(state);

    bool IVmBusDevice.Restore(IStateReader state)
    {
        bool valid = Restore(state);
        if (!valid)
        {
            Begin();
        }

        return valid;
    }

    /// <summary>A driver has come, or has gone: nothing is agreed on.</summary>
    private protected abstract void Begin();

    /// <summary>Takes a message of the driver's, a copy of any length.</summary>
    private protected abstract void Take(ReadOnlySpan<byte> message);

    /// <summary>Writes the saved state.</summary>
    private protected abstract void Save(IStateWriter state);

    /// <summary>Reads it.</summary>
    /// <returns><c>false</c> if it cannot be.</returns>
    private protected abstract bool Restore(IStateReader state);

    /// <summary>A word of a message; 0 behind its end.</summary>
    private protected static uint Word(ReadOnlySpan<byte> message, int offset) => message.Length >= offset + sizeof(uint) ? BinaryPrimitives.ReadUInt32LittleEndian(message[offset..]) : 0;

    /// <summary>Reads what a driver has set, under the lock. Any thread.</summary>
    private protected bool IsSet(ref readonly bool flag)
    {
        Gate.Enter();
        bool set = flag;
        Gate.Exit();
        return set;
    }

    /// <summary>Sends a message: a multiple of 8 bytes.</summary>
    private protected bool TrySend(ReadOnlySpan<byte> message) => Channel is { } channel && !IsStopped && channel.TrySend(VmBusPacket.InBand, 0, message);
}
