using System.Buffers.Binary;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;

namespace Lamina.Personalities.HyperV;

/// <summary>
/// HvCallGetVpRegisters and HvCallSetVpRegisters (Top-Level Functional Specification, section 7.9): the registers that the hypervisor adds, by name, and the architecture's own (<see cref="ArchitecturalRegisters"/>).
/// Of another processor, because it is running, the former can be read only, those of its local APIC and the latter not at all.
/// </summary>
internal sealed class RegisterCalls(HyperVPersonality personality)
{
    private const ulong OwnPartition = ulong.MaxValue;
    private const uint OwnProcessor = 0xffff_fffe;
    private const int ProcessorOffset = 8;
    private const int LevelOffset = 12;
    private const byte UseLevel = 0x10;
    private const int ValueOffset = 16;
    private const int ValueLength = 16;

    private const uint Version = 0x100;
    private const uint FirstFeatures = 0x200;
    private const uint LastFeatures = 0x203;
    private const int VersionLeaf = 2;
    private const int FirstFeaturesLeaf = 3;

    private readonly ArchitecturalRegisters _architectural = new(personality.ProcessorCount);

    /// <summary>Reads registers.</summary>
    /// <param name="call">The processor that calls.</param>
    /// <param name="input">The call.</param>
    /// <param name="output">Where their values go, one for each element.</param>
    /// <param name="completed">Elements that have been dealt with.</param>
    internal HypercallStatus Get(in GuestCall call, in HypercallInput input, Span<byte> output, out int completed)
    {
        completed = input.Control.RepStart;
        HypercallStatus status = Check(call.Processor, input, out int processor);
        ProcessorState? state = null;
        for (; status == HypercallStatus.Success && completed < input.Control.RepCount; completed++)
        {
            uint name = BinaryPrimitives.ReadUInt32LittleEndian(input.GetElement(completed));
            Span<byte> value = output.Slice(completed * ValueLength, ValueLength);
            value.Clear();
            bool isArchitectural = ArchitecturalRegisters.IsOne(name);
            if (isArchitectural && processor != call.Processor)
            {
                return HypercallStatus.InvalidVpState;
            }

            state ??= isArchitectural ? _architectural.Take(call) : null;
            if (isArchitectural ? state is null || !ArchitecturalRegisters.TryRead(call, state, name, value) : !TryRead(processor, processor == call.Processor, name, value))
            {
                return HypercallStatus.InvalidParameter;
            }
        }

        return status;
    }

    /// <summary>Writes registers.</summary>
    /// <param name="call">The processor that calls.</param>
    /// <param name="input">The call.</param>
    /// <param name="completed">Elements that have been dealt with.</param>
    internal HypercallStatus Set(in GuestCall call, in HypercallInput input, out int completed)
    {
        completed = input.Control.RepStart;
        HypercallStatus status = Check(call.Processor, input, out int processor);
        if (status == HypercallStatus.Success && processor != call.Processor)
        {
            return HypercallStatus.InvalidVpState;
        }

        for (; status == HypercallStatus.Success && completed < input.Control.RepCount; completed++)
        {
            ReadOnlySpan<byte> element = input.GetElement(completed);
            uint name = BinaryPrimitives.ReadUInt32LittleEndian(element);
            HypercallStatus written = ArchitecturalRegisters.IsOne(name)
                ? ArchitecturalRegisters.Write(call, name, element[ValueOffset..]) : Write(processor, name, BinaryPrimitives.ReadUInt64LittleEndian(element[ValueOffset..]));
            if (written != HypercallStatus.Success)
            {
                return written;
            }
        }

        return status;
    }

    // There is one trust level, number 0.
    private HypercallStatus Check(int caller, in HypercallInput input, out int processor)
    {
        uint number = input.Get32(ProcessorOffset);
        processor = number == OwnProcessor ? caller : (int)number;
        return input.Get64(0) != OwnPartition ? HypercallStatus.InvalidPartitionId
            : (uint)processor >= (uint)personality.ProcessorCount ? HypercallStatus.InvalidVpIndex
            : (input.Get32(LevelOffset) & ~(uint)UseLevel) != 0 ? HypercallStatus.InvalidParameter
            : HypercallStatus.Success;
    }

    private HypercallStatus Write(int processor, uint name, ulong value)
    {
        uint register = FindRegister(name);
        return register != 0 && personality.TryWriteMsr(processor, 0, register, value) ? HypercallStatus.Success : HypercallStatus.InvalidParameter;
    }

    private static bool IsController(uint register) => register is >= HyperVMsr.EndOfInterrupt and <= HyperVMsr.TaskPriority;

    private bool TryRead(int processor, bool isOwn, uint name, Span<byte> value)
    {
        int leaf = name == Version ? VersionLeaf : name is >= FirstFeatures and <= LastFeatures ? FirstFeaturesLeaf + (int)(name - FirstFeatures) : 0;
        if (leaf != 0)
        {
            CpuidEntry entry = personality.Leaves[leaf];
            BinaryPrimitives.WriteUInt32LittleEndian(value, entry.Eax);
            BinaryPrimitives.WriteUInt32LittleEndian(value[4..], entry.Ebx);
            BinaryPrimitives.WriteUInt32LittleEndian(value[8..], entry.Ecx);
            BinaryPrimitives.WriteUInt32LittleEndian(value[12..], entry.Edx);
            return true;
        }

        uint register = FindRegister(name);
        if (register == 0 || (IsController(register) && !isOwn) || !personality.TryReadMsr(processor, 0, register, out ulong read))
        {
            return false;
        }

        BinaryPrimitives.WriteUInt64LittleEndian(value, read);
        return true;
    }

    // The model-specific register of a name; 0 for none.
    private static uint FindRegister(uint name) => name switch
    {
        >= 0x210 and <= 0x215 => HyperVMsr.CrashFirst + (name - 0x210),
        0x0009_0001 => HyperVMsr.Hypercall,
        0x0009_0002 => HyperVMsr.GuestOsId,
        0x0009_0003 => HyperVMsr.VpIndex,
        0x0009_0004 => HyperVMsr.TimeReferenceCount,
        >= 0x0009_0010 and <= 0x0009_0012 => HyperVMsr.EndOfInterrupt + (name - 0x0009_0010),
        0x0009_0013 => HyperVMsr.VpAssistPage,
        0x0009_0017 => HyperVMsr.ReferenceTsc,
        >= 0x000a_0000 and <= 0x000a_000f => HyperVMsr.FirstSint + (name - 0x000a_0000),
        >= 0x000a_0010 and <= 0x000a_0014 => HyperVMsr.SControl + (name - 0x000a_0010),
        >= 0x000b_0000 and <= 0x000b_0007 => HyperVMsr.FirstTimer + (name - 0x000b_0000),
        _ => 0,
    };
}
