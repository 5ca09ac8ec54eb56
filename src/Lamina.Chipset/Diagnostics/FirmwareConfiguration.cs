using System.Buffers.Binary;
using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;

namespace Lamina.Chipset.Diagnostics;

/// <summary>
/// The selector and data port of QEMU's fw_cfg (docs/specs/fw_cfg), with the few entries that test programs ask for: signature, revision, size of RAM, number of processors. Others read as
/// zeroes. It has no DMA and no files.
/// </summary>
public sealed class FirmwareConfiguration : IDevice, IRegisterWindow
{
    private const int PortCount = 2;
    private const int EntryLength = 8;
    private readonly ILock _gate;
    private readonly ulong _memorySize;
    private readonly int _processorCount;
    private readonly byte[] _entry = new byte[EntryLength];
    private ushort _selector;
    private int _position;

    /// <summary>Makes it.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="gate">Its lock.</param>
    /// <param name="memorySize">Bytes of RAM.</param>
    /// <param name="processorCount">Number of processors.</param>
    public FirmwareConfiguration(string name, ILock gate, ulong memorySize, int processorCount)
    {
        Name = name;
        _gate = gate;
        _memorySize = memorySize;
        _processorCount = processorCount;
        Select(0);
    }

    private enum Entry : ushort
    {
        Signature = 0,
        Revision = 1,
        MemorySize = 3,
        ProcessorCount = 5,
        MaximumProcessorCount = 15,
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>Maps ports 0x510 and 0x511.</summary>
    public void Map(AddressSpace ports) => ports.Map(Name, PcAddressMap.FirmwareConfiguration, PortCount, this);

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, Span<byte> data)
    {
        if (offset != 1 || data.Length != 1)
        {
            return AccessResult.BadWidth;
        }

        _gate.Enter();
        data[0] = _position < EntryLength ? _entry[_position++] : (byte)0;
        _gate.Exit();
        return AccessResult.Done;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (offset != 0 || data.Length != sizeof(ushort))
        {
            return AccessResult.BadWidth;
        }

        _gate.Enter();
        Select((ushort)LittleEndian.Get(data));
        _gate.Exit();
        return AccessResult.Done;
    }

    /// <inheritdoc/>
    public void Start()
    {
    }

    /// <inheritdoc/>
    public void Stop()
    {
    }

    /// <inheritdoc/>
    public void Reset() => Select(0);

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        state.Write(1, _selector);
        state.Write(2, (ulong)_position);
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        if (!state.TryRead(1, out ulong selector) || selector > ushort.MaxValue || !state.TryRead(2, out ulong position) || position > EntryLength)
        {
            return false;
        }

        Select((ushort)selector);
        _position = (int)position;
        return true;
    }

    private void Select(ushort selector)
    {
        _selector = selector;
        _position = 0;
        ulong value = (Entry)selector switch
        {
            Entry.Signature => BinaryPrimitives.ReadUInt32LittleEndian("QEMU"u8),
            Entry.Revision => 1,
            Entry.MemorySize => _memorySize,
            Entry.ProcessorCount or Entry.MaximumProcessorCount => (ulong)_processorCount,
            _ => 0,
        };
        LittleEndian.Put(_entry, value);
    }
}
