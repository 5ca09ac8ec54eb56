using System.Buffers.Binary;
using System.Numerics;
using Lamina.Machine;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;
using Lamina.Virtio.Queue;

namespace Lamina.Virtio.Console;

/// <summary>
/// Consoles and ports (virtio 1.2, section 5.3). With one console it is the simple device, whose window size stands in the configuration, where all drivers read it alike. With
/// more, or with ports, it has the control queues, by which ports are added and opened; there Linux and the specification have not always agreed which of the two sizes comes first.
/// </summary>
public sealed class ConsoleDevice : VirtioDevice
{
    /// <summary>Most ports of a device.</summary>
    public const int MaximumPorts = 16;

    private const ushort QueueSize = 64;
    private const int MaximumParts = QueueSize;
    private const int ChunkLength = 512;

    // More than drivers put into one buffer, and so much that the device is not kept by a buffer that says all of RAM over and over.
    private const ulong MaximumLength = 16 << 20;
    private const int ControlReceiveQueue = 2;
    private const int ControlTransmitQueue = 3;
    private const int QueuesBeforePorts = 4;
    private const int ControlLength = 8;
    private const int SizeLength = 4;
    private const int ConfigurationLength = 12;
    private const int EmergencyWriteOffset = 8;

    private readonly ConsolePort[] _ports;
    private readonly DescriptorChain _chain;
    private readonly byte[] _configuration = new byte[ConfigurationLength];
    private bool _sizeTold;

    /// <summary>Makes a device.</summary>
    /// <param name="name">Unique in the machine.</param>
    /// <param name="gate">Its own lock.</param>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="ports">Its ports: one console, or anything.</param>
    public ConsoleDevice(string name, ILock gate, GuestMemory memory, ReadOnlySpan<ConsolePort> ports)
        : base(name, DeviceType.Console, gate, memory, IsSimple(ports) ? 2 : 2 + (2 * ports.Length), QueueSize)
    {
        ArgumentOutOfRangeException.ThrowIfZero(ports.Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(ports.Length, MaximumPorts);
        _ports = ports.ToArray();
        _chain = new DescriptorChain(memory, MaximumParts);
        for (int i = 0; i < _ports.Length; i++)
        {
            _ports[i].Connect(this, i);
        }

        BinaryPrimitives.WriteUInt32LittleEndian(_configuration.AsSpan(4), (uint)_ports.Length);
    }

    internal override ulong DeviceFeatures => ConsoleFeatures.Size | ConsoleFeatures.EmergencyWrite | (Queues.Length > 2 ? ConsoleFeatures.MultiplePorts : 0);

    private bool HasControl => Has(ConsoleFeatures.MultiplePorts);

    /// <summary>Says how large the window of the consoles is. Any thread.</summary>
    public void Resize(int columns, int rows)
    {
        Gate.Enter();
        BinaryPrimitives.WriteUInt16LittleEndian(_configuration, (ushort)Math.Clamp(columns, 0, ushort.MaxValue));
        BinaryPrimitives.WriteUInt16LittleEndian(_configuration.AsSpan(2), (ushort)Math.Clamp(rows, 0, ushort.MaxValue));
        if (!HasControl)
        {
            ChangeConfiguration();
        }
        else if (IsRunning)
        {
            foreach (ConsolePort port in _ports)
            {
                if (port is { IsConsole: true, IsOpen: true })
                {
                    Owe(port, ControlEvent.Resize);
                }
            }

            SendControl();
            CheckQueues();
        }

        Gate.Exit();
    }

    /// <summary>Bytes for a port of the guest.</summary>
    internal int Receive(int number, ReadOnlySpan<byte> data)
    {
        Gate.Enter();
        ConsolePort port = _ports[number];
        Virtqueue queue = Queues[GetReceiveQueue(number)];
        int taken = 0;
        if (IsServing && (port.IsOpen || !HasControl))
        {
            while (taken < data.Length)
            {
                if (queue.Pop(_chain))
                {
                    int written = _chain.Write(0, data[taken..]);
                    queue.Push(_chain, (uint)written);
                    taken += written;
                }
                else if (!queue.EnableNotifications())
                {
                    break;
                }
            }

            Publish(queue);
            CheckQueues();
        }

        port.Refused = taken < data.Length;
        Gate.Exit();
        return taken;
    }

    internal override void ReadConfiguration(uint offset, Span<byte> data)
    {
        for (int i = 0; i < data.Length && offset + (uint)i < ConfigurationLength; i++)
        {
            data[i] = _configuration[offset + (uint)i];
        }
    }

    // What a kernel says before it has queues.
    internal override void WriteConfiguration(uint offset, ReadOnlySpan<byte> data)
    {
        if (offset == EmergencyWriteOffset && !IsStopped && _ports[0].IsConsole)
        {
            _ports[0].Output.Write(data[..1]);
        }
    }

    private protected override bool AcceptsFeatures(ulong features) => true;

    private protected override void OnRunning()
    {
        for (int i = 0; i < Queues.Length; i++)
        {
            Work(i);
        }
    }

    private protected override void OnNotified(int queue)
    {
        Work(queue);
    }

    private protected override bool TryQuiesce()
    {
        foreach (ConsolePort port in _ports)
        {
            port.IsOpen = false;
            port.Owed = 0;
        }

        _sizeTold = false;
        return true;
    }

    private protected override void SaveDevice(IStateWriter state, ushort firstField)
    {
        for (int i = 0; i < _ports.Length; i++)
        {
            state.Write((ushort)(firstField + (2 * i)), _ports[i].IsOpen);
            state.Write((ushort)(firstField + (2 * i) + 1), (ulong)_ports[i].Owed);
        }
    }

    private protected override bool RestoreDevice(IStateReader state, ushort firstField)
    {
        bool valid = true;
        for (int i = 0; i < _ports.Length; i++)
        {
            bool open = false;
            byte owed = 0;
            valid &= state.TryTake((ushort)(firstField + (2 * i)), ref open) & state.TryTake((ushort)(firstField + (2 * i) + 1), ref owed);
            _ports[i].IsOpen = open;
            _ports[i].Owed = owed;
        }

        return valid;
    }

    private static bool IsSimple(ReadOnlySpan<ConsolePort> ports) => ports.Length == 1 && ports[0].IsConsole;

    private static int GetReceiveQueue(int port) => port == 0 ? 0 : QueuesBeforePorts + (2 * (port - 1));

    private void Work(int queue)
    {
        if (queue is ControlReceiveQueue)
        {
            SendControl();
        }
        else if (queue is ControlTransmitQueue)
        {
            TakeControl();
        }
        else
        {
            int port = queue < 2 ? 0 : ((queue - QueuesBeforePorts) / 2) + 1;
            if (queue % 2 == 0)
            {
                Offer(_ports[port]);
            }
            else
            {
                Transmit(Queues[queue], _ports[port]);
            }
        }
    }

    // There is room in the guest.
    private static void Offer(ConsolePort port)
    {
        if (port.Refused)
        {
            port.Refused = false;
            port.ReadyTarget?.OnInputReady();
        }
    }

    private void Transmit(Virtqueue queue, ConsolePort port)
    {
        Span<byte> chunk = stackalloc byte[ChunkLength];
        bool wrote = false;
        do
        {
            queue.DisableNotifications();
            while (queue.Pop(_chain))
            {
                if (_chain.ReadableLength > MaximumLength)
                {
                    queue.Break();
                    break;
                }

                int count;
                for (ulong done = 0; (count = _chain.Read(done, chunk)) > 0; done += (uint)count)
                {
                    port.Output.Write(chunk[..count]);
                    wrote = true;
                }

                queue.Push(_chain, 0);
            }
        }
        while (queue.EnableNotifications());

        Publish(queue);
        if (wrote && !_sizeTold && !HasControl)
        {
            // Linux reads the size when it hears of a change, and was not ready for that before it wrote something.
            _sizeTold = true;
            if (_configuration.AsSpan(0, SizeLength).ContainsAnyExcept((byte)0))
            {
                ChangeConfiguration();
            }
        }
    }

    private void TakeControl()
    {
        Virtqueue queue = Queues[ControlTransmitQueue];
        Span<byte> message = stackalloc byte[ControlLength];
        do
        {
            queue.DisableNotifications();
            while (queue.Pop(_chain))
            {
                if (_chain.Read(0, message) == ControlLength)
                {
                    TakeControl(
                        BinaryPrimitives.ReadUInt32LittleEndian(message),
                        (ControlEvent)BinaryPrimitives.ReadUInt16LittleEndian(message[4..]),
                        BinaryPrimitives.ReadUInt16LittleEndian(message[6..]) != 0);
                }

                queue.Push(_chain, 0);
            }
        }
        while (queue.EnableNotifications());

        Publish(queue);
        SendControl();
    }

    private void TakeControl(uint number, ControlEvent happened, bool value)
    {
        if (happened == ControlEvent.DeviceReady && value)
        {
            foreach (ConsolePort added in _ports)
            {
                Owe(added, ControlEvent.DeviceAdd);
            }
        }

        if (number >= (uint)_ports.Length)
        {
            return;
        }

        ConsolePort port = _ports[number];
        if (happened == ControlEvent.PortReady && value)
        {
            if (port.IsConsole)
            {
                Owe(port, ControlEvent.ConsolePort);
                Owe(port, ControlEvent.Resize);
            }

            if (port.Name.Length > 0)
            {
                Owe(port, ControlEvent.PortName);
            }

            Owe(port, ControlEvent.PortOpen);
        }
        else if (happened == ControlEvent.PortOpen)
        {
            port.IsOpen = value;
            if (value)
            {
                Offer(port);
            }
        }
    }

    private static void Owe(ConsolePort port, ControlEvent message) => port.Owed |= (byte)(1 << (int)message);

    // As far as the guest has buffers; each message is sent once, whatever the guest asks for meanwhile.
    private void SendControl()
    {
        if (Queues.Length <= ControlReceiveQueue || IsStopped)
        {
            return;
        }

        Virtqueue queue = Queues[ControlReceiveQueue];
        Span<byte> message = stackalloc byte[ControlLength + ConsolePort.MaximumNameLength];
        for (int i = 0; i < _ports.Length; i++)
        {
            while (_ports[i].Owed != 0)
            {
                if (!queue.Pop(_chain))
                {
                    if (queue.EnableNotifications())
                    {
                        continue;
                    }

                    Publish(queue);
                    return;
                }

                int owed = BitOperations.TrailingZeroCount(_ports[i].Owed);
                _ports[i].Owed &= (byte)~(1 << owed);
                int length = Describe(i, (ControlEvent)owed, message);
                queue.Push(_chain, (uint)_chain.Write(0, message[..length]));
            }
        }

        Publish(queue);
    }

    private int Describe(int number, ControlEvent happened, Span<byte> message)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(message, (uint)number);
        BinaryPrimitives.WriteUInt16LittleEndian(message[4..], (ushort)happened);
        BinaryPrimitives.WriteUInt16LittleEndian(message[6..], 1);
        switch (happened)
        {
            case ControlEvent.Resize:
                _configuration.AsSpan(0, SizeLength).CopyTo(message[ControlLength..]);
                return ControlLength + SizeLength;
            case ControlEvent.PortName:
                _ports[number].Name.CopyTo(message[ControlLength..]);
                return ControlLength + _ports[number].Name.Length;
            default:
                return ControlLength;
        }
    }
}
