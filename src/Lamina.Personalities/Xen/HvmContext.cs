using System.Buffers.Binary;
using Lamina.Machine.Processors;

namespace Lamina.Personalities.Xen;

/// <summary>The registers that a processor of an HVM domain begins with (struct vcpu_hvm_context, xen/include/public/hvm/hvm_vcpu.h), a copy that has passed Xen's checks.</summary>
internal sealed class HvmContext : IProcessorEntry
{
    /// <summary>Bytes of the structure.</summary>
    internal const int Length = 128;

    private const uint Mode32 = 0;
    private const uint Mode64 = 1;
    private const int GeneralRegisters = 8;
    private const int Registers = 8;
    private const int Padding32 = Registers + 52;
    private const int Bases32 = Registers + 64;
    private const int Limits32 = Registers + 84;
    private const int Attributes32 = Registers + 104;
    private const int Segments32 = 5;
    private const int TaskIndex = 4;

    private const ulong ProtectionEnable = 1;
    private const ulong Paging = 1UL << 31;
    private const ulong NotWriteThrough = 1UL << 29;
    private const ulong CacheDisable = 1UL << 30;
    private const ulong AddressExtension = 1 << 5;
    private const ulong ContextIdentifiers = 1 << 17;
    private const ulong LongModeEnable = 1 << 8;
    private const ulong LongModeActive = 1 << 10;
    private const ulong KnownEfer = 0xd01;
    private const ulong KnownFlags = 0x3f_7fd5;
    private const ulong FixedFlag = 2;
    private const ulong Virtual8086 = 1 << 17;
    private const uint ExtendedFeatures = 0xc000_0080;

    // VME and PVI are not offered; what the processor has not of these it refuses when it begins.
    private const ulong KnownCr4 = 0x7fc | (1 << 11) | (1 << 16) | ContextIdentifiers | (1 << 18) | (1 << 20) | (1 << 21);

    private const uint Accessed = 1;
    private const uint Busy = 2;
    private const uint Writable = 2;
    private const uint Code = 8;
    private const uint TypeMask = 0xf;
    private const uint BusyTask = 0xb;
    private const uint NotSystem = 1 << 4;
    private const uint Present = 1 << 7;
    private const uint Granular = 1 << 11;
    private const uint LastSegmentBit = 1 << 11;

    private readonly byte[] _bytes = new byte[Length];

    private uint Mode => BinaryPrimitives.ReadUInt32LittleEndian(_bytes);

    private ulong Rip => Mode == Mode64 ? Get64(8) : Get32(8);

    private ulong Rflags => Mode == Mode64 ? Get64(9) : Get32(9);

    private ulong Cr0 => Mode == Mode64 ? Get64(10) : Get32(10);

    private ulong Cr3 => Mode == Mode64 ? Get64(11) : Get32(11);

    private ulong Cr4 => Mode == Mode64 ? Get64(12) : Get32(12);

    private ulong Efer => Mode == Mode64 ? Get64(13) : BinaryPrimitives.ReadUInt64LittleEndian(_bytes.AsSpan(Registers + 56));

    private bool IsLong => (Efer & LongModeEnable) != 0 && (Cr0 & Paging) != 0;

    /// <summary>Takes a structure.</summary>
    /// <returns><c>false</c> if no processor can begin so.</returns>
    internal bool TrySet(ReadOnlySpan<byte> structure)
    {
        structure[..Length].CopyTo(_bytes);
        return Mode <= Mode64 && BinaryPrimitives.ReadUInt32LittleEndian(structure[4..]) == 0 && (Mode == Mode64 ? IsValid64() : IsValid32())
            && (Cr0 >> 32) == 0 && (Cr0 & (Paging | ProtectionEnable)) != Paging && (Cr0 & (NotWriteThrough | CacheDisable)) != NotWriteThrough
            && (Cr4 & ~KnownCr4) == 0 && (Efer & ~KnownEfer) == 0
            && (!IsLong || ((Cr4 & AddressExtension) != 0 && (Rflags & Virtual8086) == 0)) && (IsLong || (Cr4 & ContextIdentifiers) == 0);
    }

    /// <summary>Copies the structure out.</summary>
    internal ReadOnlySpan<byte> Bytes => _bytes;

    /// <inheritdoc/>
    public void Apply(ProcessorState state)
    {
        Array.Clear(state.GeneralRegisters);
        for (int i = 0; i < GeneralRegisters; i++)
        {
            state.GeneralRegisters[i] = Mode == Mode64 ? Get64(i) : Get32(i);
        }

        (state.Rip, state.Rflags) = (Rip, (Rflags & KnownFlags) | FixedFlag);
        (state.Cr0, state.Cr3, state.Cr4) = (Cr0, Cr3, Cr4);
        ulong efer = (Efer & ~LongModeActive) | (IsLong ? LongModeActive : 0);
        state.Msrs.RemoveAll(static m => m.Index == ExtendedFeatures);
        state.Msrs.Add(new MsrValue(ExtendedFeatures, efer));
        if (Mode == Mode64)
        {
            const uint LongCode = 0xa09b;
            const uint FlatData = 0xc093;
            const uint TaskLimit = 0x67;
            const uint TaskAttributes = 0x8b;
            SegmentState data = new(0, 0, uint.MaxValue, FlatData);
            (state.Segments[0], state.Segments[1], state.Segments[2], state.Segments[3]) = (data, new SegmentState(0, 0, uint.MaxValue, LongCode), data, data);
            state.TaskRegister = new SegmentState(0, 0, TaskLimit, TaskAttributes);
            return;
        }

        // CS, DS, SS, ES, TR.
        (state.Segments[1], state.Segments[3], state.Segments[2], state.Segments[0], state.TaskRegister) = (GetSegment(0), GetSegment(1), GetSegment(2), GetSegment(3), GetSegment(TaskIndex));
    }

    private static uint GetLevel(uint attributes) => (attributes >> 5) & 3;

    private bool IsValid64()
    {
        return (ulong)((long)Rip << 16 >> 16) == Rip && (Cr0 & Paging) != 0 && (Cr4 & AddressExtension) != 0 && (Efer & LongModeEnable) != 0;
    }

    private bool IsValid32()
    {
        bool valid = BinaryPrimitives.ReadUInt32LittleEndian(_bytes.AsSpan(Padding32)) == 0 && !_bytes.AsSpan(Attributes32 + (Segments32 * sizeof(ushort)), 3 * sizeof(ushort)).ContainsAnyExcept((byte)0)
            && (Efer & (LongModeActive | LongModeEnable)) != LongModeActive;
        for (int i = 0; i < Segments32; i++)
        {
            valid &= IsSegment(GetAttributes(i), i);
        }

        uint code = GetAttributes(0);
        uint level = GetLevel(code);
        uint limit = GetLimit(0);
        limit = (code & Granular) != 0 ? (limit << 12) | 0xfff : limit;
        return valid && Rip <= limit && GetLevel(GetAttributes(2)) == level && IsWithin(GetAttributes(1), level) && IsWithin(GetAttributes(3), level);
    }

    private static bool IsWithin(uint attributes, uint level) => (attributes & Present) == 0 || GetLevel(attributes) <= level;

    // CS, DS, SS, ES, TR. Data segments may be null.
    private static bool IsSegment(uint attributes, int index)
    {
        const int CodeSegment = 0;
        const int StackSegment = 2;
        if (attributes >= LastSegmentBit << 1)
        {
            return false;
        }

        if (attributes == 0)
        {
            return index is not (CodeSegment or StackSegment or TaskIndex);
        }

        uint type = attributes & TypeMask;
        bool kind = index switch
        {
            TaskIndex => (attributes & NotSystem) == 0 && type == BusyTask,
            CodeSegment => (attributes & NotSystem) != 0 && (type & Code) != 0,
            StackSegment => (attributes & NotSystem) != 0 && (type & (Code | Writable)) == Writable,
            _ => (attributes & NotSystem) != 0 && (type & (Code | Writable)) != Code,
        };
        return kind && (attributes & Present) != 0;
    }

    private SegmentState GetSegment(int index)
    {
        const uint Unusable = 1 << 16;
        uint attributes = GetAttributes(index);
        uint hidden = (attributes & 0xff) | ((attributes & 0xf00) << 4) | ((attributes & Present) == 0 ? Unusable : 0);
        return new SegmentState(0, BinaryPrimitives.ReadUInt32LittleEndian(_bytes.AsSpan(Bases32 + (index * sizeof(uint)))), GetLimit(index), hidden);
    }

    private uint GetLimit(int index) => BinaryPrimitives.ReadUInt32LittleEndian(_bytes.AsSpan(Limits32 + (index * sizeof(uint))));

    // As loading the segment would leave them.
    private uint GetAttributes(int index)
    {
        uint attributes = BinaryPrimitives.ReadUInt16LittleEndian(_bytes.AsSpan(Attributes32 + (index * sizeof(ushort))));
        return index == TaskIndex ? attributes | Busy : attributes | ((attributes & Present) != 0 ? Accessed : 0);
    }

    private uint Get32(int index) => BinaryPrimitives.ReadUInt32LittleEndian(_bytes.AsSpan(Registers + (index * sizeof(uint))));

    private ulong Get64(int index) => BinaryPrimitives.ReadUInt64LittleEndian(_bytes.AsSpan(Registers + (index * sizeof(ulong))));
}
