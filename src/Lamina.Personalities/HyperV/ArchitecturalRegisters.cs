using System.Buffers.Binary;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;

namespace Lamina.Personalities.HyperV;

/// <summary>
/// The architecture's own registers of the processor that makes a call, by their names (HV_REGISTER_NAME of the Top-Level Functional Specification). All of them can be read, in the values' forms of section 7.9; general,
/// vector and model-specific ones can be written, and those of which the call itself is made cannot: an instruction that goes on in another mode, or elsewhere, is none.
/// </summary>
internal sealed class ArchitecturalRegisters
{
    private const uint FirstGeneral = 0x0002_0000;
    private const uint LastGeneral = 0x0002_000f;
    private const uint Rip = 0x0002_0010;
    private const uint Rflags = 0x0002_0011;
    private const uint FirstVector = 0x0003_0000;
    private const uint LastVector = 0x0003_000f;
    private const uint FirstFloating = 0x0003_0010;
    private const uint LastFloating = 0x0003_0017;
    private const uint FloatingControl = 0x0003_0018;
    private const uint VectorControl = 0x0003_0019;
    private const uint Cr0 = 0x0004_0000;
    private const uint Cr2 = 0x0004_0001;
    private const uint Cr3 = 0x0004_0002;
    private const uint Cr4 = 0x0004_0003;
    private const uint Cr8 = 0x0004_0004;
    private const uint Xcr0 = 0x0004_0005;
    private const uint FirstDebug = 0x0005_0000;
    private const uint LastDebug = 0x0005_0005;
    private const uint FirstSegment = 0x0006_0000;
    private const uint LastSegment = 0x0006_0005;
    private const uint LocalDescriptorTable = 0x0006_0006;
    private const uint TaskRegister = 0x0006_0007;
    private const uint InterruptTable = 0x0007_0000;
    private const uint DescriptorTable = 0x0007_0001;
    private const uint InitialApicId = 0x0008_000c;
    private const uint First = FirstGeneral;
    private const uint Last = 0x0008_ffff;

    // Of the XSAVE area.
    private const int FloatingOffset = 32;
    private const int FloatingLength = 10;
    private const int VectorOffset = 160;
    private const int VectorLength = 16;

    private readonly ProcessorState[] _states;

    internal ArchitecturalRegisters(int processorCount)
    {
        _states = new ProcessorState[processorCount];
        for (int i = 0; i < processorCount; i++)
        {
            _states[i] = new ProcessorState();
        }
    }

    /// <summary>Whether a name is one of the architecture's registers, of which there may be none.</summary>
    internal static bool IsOne(uint name) => name is >= First and <= Last;

    /// <summary>Takes the state of the processor that calls, before registers are read.</summary>
    /// <returns>It; null if its accelerator gives none.</returns>
    internal ProcessorState? Take(in GuestCall call)
    {
        if (call.Caller is not ICallingRegisters caller)
        {
            return null;
        }

        caller.SaveCaller(_states[call.Processor]);
        return _states[call.Processor];
    }

    /// <summary>Reads a register.</summary>
    /// <param name="call">The call.</param>
    /// <param name="state">What <see cref="Take"/> gave.</param>
    /// <param name="name">The register's name.</param>
    /// <param name="value">Its value: 16 bytes, which are zero.</param>
    /// <returns><c>false</c> if there is none.</returns>
    internal static bool TryRead(in GuestCall call, ProcessorState state, uint name, Span<byte> value)
    {
        switch (name)
        {
            case >= FirstGeneral and <= LastGeneral:
                return Put(value, state.GeneralRegisters[name - FirstGeneral]);
            case Rip:
                return Put(value, state.Rip);
            case Rflags:
                return Put(value, state.Rflags);
            case >= FirstVector and <= LastVector:
                return Copy(value, state.XsaveArea.AsSpan(VectorOffset + ((int)(name - FirstVector) * VectorLength), VectorLength));
            case >= FirstFloating and <= LastFloating:
                return Copy(value, state.XsaveArea.AsSpan(FloatingOffset + ((int)(name - FirstFloating) * VectorLength), FloatingLength));
            case FloatingControl or VectorControl:
                return Copy(value, state.XsaveArea.AsSpan((int)(name - FloatingControl) * VectorLength, VectorLength));
            case Cr0:
                return Put(value, state.Cr0);
            case Cr2:
                return Put(value, state.Cr2);
            case Cr3:
                return Put(value, state.Cr3);
            case Cr4:
                return Put(value, state.Cr4);
            case Cr8:
                return Put(value, state.Cr8);
            case Xcr0:
                return Put(value, state.Xcr0);
            case >= FirstDebug and <= LastDebug:
                return Put(value, state.DebugRegisters[name - FirstDebug]);
            case >= FirstSegment and <= LastSegment:
                return Put(value, state.Segments[name - FirstSegment]);
            case LocalDescriptorTable:
                return Put(value, state.LocalDescriptorTable);
            case TaskRegister:
                return Put(value, state.TaskRegister);
            case InterruptTable:
                return Put(value, state.IdtBase, state.IdtLimit);
            case DescriptorTable:
                return Put(value, state.GdtBase, state.GdtLimit);
            case InitialApicId:
                return Put(value, (ulong)(uint)call.Processor);
            default:
                uint register = FindRegister(name);
                return register != 0 && ((ICallingRegisters)call.Caller!).TryReadCallerMsr(register, out ulong read) && Put(value, read);
        }
    }

    /// <summary>Writes a register.</summary>
    /// <param name="call">The call.</param>
    /// <param name="name">The register's name.</param>
    /// <param name="value">Its value: 16 bytes.</param>
    internal static HypercallStatus Write(in GuestCall call, uint name, ReadOnlySpan<byte> value)
    {
        if (call.Caller is not ICallingRegisters caller)
        {
            return HypercallStatus.InvalidParameter;
        }

        ulong low = BinaryPrimitives.ReadUInt64LittleEndian(value);
        bool isLong = BinaryPrimitives.ReadUInt64LittleEndian(value[sizeof(ulong)..]) != 0;
        switch (name)
        {
            case >= FirstGeneral and <= LastGeneral when !isLong:
                call.Registers[(int)(name - FirstGeneral)] = low;
                return HypercallStatus.Success;
            case >= FirstVector and <= LastVector:
                call.Caller.WriteVectors((int)(name - FirstVector) * VectorLength, value);
                return HypercallStatus.Success;
            case Rip or Rflags or (>= FirstFloating and <= VectorControl) or (>= Cr0 and <= Xcr0) or (>= FirstDebug and <= LastDebug) or (>= FirstSegment and <= TaskRegister) or InterruptTable or DescriptorTable:
                return HypercallStatus.InvalidVpState;
            default:
                uint register = FindRegister(name);
                return register != 0 && !isLong && caller.TryWriteCallerMsr(register, low) ? HypercallStatus.Success : HypercallStatus.InvalidParameter;
        }
    }

    // The model-specific register of a name; 0 for none.
    private static uint FindRegister(uint name) => name switch
    {
        0x0008_0000 => 0x10, // IA32_TIME_STAMP_COUNTER
        0x0008_0001 => 0xc000_0080, // EFER
        0x0008_0002 => 0xc000_0102, // KERNEL_GS_BASE
        0x0008_0003 => 0x1b, // IA32_APIC_BASE
        0x0008_0004 => 0x277, // IA32_PAT
        0x0008_0005 => 0x174, // IA32_SYSENTER_CS
        0x0008_0006 => 0x176, // IA32_SYSENTER_EIP
        0x0008_0007 => 0x175, // IA32_SYSENTER_ESP
        >= 0x0008_0008 and <= 0x0008_000b => 0xc000_0081 + (name - 0x0008_0008), // STAR, LSTAR, CSTAR, FMASK
        0x0008_000d => 0xfe, // IA32_MTRRCAP
        0x0008_000e => 0x2ff, // IA32_MTRR_DEF_TYPE
        >= 0x0008_0010 and <= 0x0008_001f => 0x200 + (2 * (name - 0x0008_0010)), // IA32_MTRR_PHYSBASE
        >= 0x0008_0040 and <= 0x0008_004f => 0x201 + (2 * (name - 0x0008_0040)), // IA32_MTRR_PHYSMASK
        0x0008_0070 => 0x250, // IA32_MTRR_FIX64K_00000
        0x0008_0071 or 0x0008_0072 => 0x258 + (name - 0x0008_0071), // IA32_MTRR_FIX16K
        >= 0x0008_0073 and <= 0x0008_007a => 0x268 + (name - 0x0008_0073), // IA32_MTRR_FIX4K
        0x0008_007b => 0xc000_0103, // TSC_AUX
        _ => 0,
    };

    private static bool Copy(Span<byte> value, ReadOnlySpan<byte> source)
    {
        source.CopyTo(value);
        return true;
    }

    private static bool Put(Span<byte> value, ulong number)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(value, number);
        return true;
    }

    // HV_X64_SEGMENT_REGISTER. One that cannot be used is not present.
    private static bool Put(Span<byte> value, in SegmentState segment)
    {
        const uint Unusable = 1 << 16;
        const uint Present = 1 << 7;
        BinaryPrimitives.WriteUInt64LittleEndian(value, segment.Base);
        BinaryPrimitives.WriteUInt32LittleEndian(value[8..], segment.Limit);
        BinaryPrimitives.WriteUInt16LittleEndian(value[12..], segment.Selector);
        BinaryPrimitives.WriteUInt16LittleEndian(value[14..], (ushort)((segment.Attributes & Unusable) != 0 ? segment.Attributes & ~Present : segment.Attributes));
        return true;
    }

    // HV_X64_TABLE_REGISTER.
    private static bool Put(Span<byte> value, ulong address, ushort limit)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(value[6..], limit);
        BinaryPrimitives.WriteUInt64LittleEndian(value[8..], address);
        return true;
    }
}
