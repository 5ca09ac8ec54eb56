using Lamina.Machine.Processors;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu;

/// <summary>Between the running context and the architectural state that every accelerator shares.</summary>
internal static unsafe class StateTransfer
{
    private const int XmmOffset = 160;
    private const int MxcsrOffset = 24;
    private const int HeaderOffset = 512;
    private const int YmmOffset = 576;

    public static void Save(SoftwareProcessor processor, ProcessorState state)
    {
        ProcessorContext* c = processor.Context;
        for (int n = 0; n < 16; n++)
        {
            state.GeneralRegisters[n] = c->Registers[n];
        }

        state.Rip = c->Rip;
        state.Rflags = Flags.Get(c);
        for (int n = 0; n < 6; n++)
        {
            state.Segments[n] = ToState(c->Segments[n]);
        }

        state.LocalDescriptorTable = ToState(c->LocalDescriptorTable);
        state.TaskRegister = ToState(c->TaskRegister);
        state.GdtBase = c->GdtBase;
        state.GdtLimit = c->GdtLimit;
        state.IdtBase = c->IdtBase;
        state.IdtLimit = c->IdtLimit;
        state.Cr0 = c->Cr0;
        state.Cr2 = c->Cr2;
        state.Cr3 = c->Cr3;
        state.Cr4 = c->Cr4;
        state.Cr8 = processor.Controller?.TaskPriorityClass ?? 0;
        for (int n = 0; n < 4; n++)
        {
            state.DebugRegisters[n] = c->DebugAddress[n];
        }

        state.DebugRegisters[4] = c->Dr6;
        state.DebugRegisters[5] = c->Dr7;
        state.Xcr0 = c->Xcr0;
        SaveVectors(c, state.XsaveArea);
        state.Msrs.Clear();
        foreach (uint index in MsrBank.SavedRegisters)
        {
            if (processor.Msrs.TryRead(index, out ulong value))
            {
                state.Msrs.Add(new MsrValue(index, value));
            }
        }

        // Whoever waits for anything looks again where the state is restored.
        state.Halted = c->Halted && !c->HaltEndsMasked;
        state.WaitingForStartUp = c->WaitingForStartUp;
        state.StandsStill = processor.StandsStill;
        state.InterruptShadow = c->InterruptShadow;
        state.NonMaskableBlocked = c->NonMaskableBlocked;
        state.NonMaskablePending = c->NonMaskablePending != 0 || (c->Attention & (int)AttentionBits.NonMaskable) != 0;
    }

    public static bool Restore(SoftwareProcessor processor, ProcessorState state)
    {
        ProcessorContext* c = processor.Context;
        ResetState.PowerOn(c, processor);
        processor.StandsStill = false;
        if (!state.IsPossible(processor.ReservedAddressBits))
        {
            return false;
        }

        RestoreRegisters(c, state);
        RestoreVectors(c, state.XsaveArea);
        bool ok = true;
        foreach (MsrValue msr in state.Msrs)
        {
            ok &= msr.Index == Msr.Efer || processor.Msrs.TryWrite(msr.Index, msr.Value);
        }

        if (processor.Controller is { } controller)
        {
            controller.TaskPriorityClass = (byte)(state.Cr8 & 15);
        }

        c->Halted = state.Halted;
        c->HaltEndsMasked = false;
        c->WaitingForStartUp = state.WaitingForStartUp;
        processor.StandsStill = state.StandsStill;
        c->InterruptHeld = true;
        c->InterruptShadow = state.InterruptShadow;
        c->NonMaskableBlocked = state.NonMaskableBlocked;
        c->NonMaskablePending = state.NonMaskablePending ? (byte)1 : (byte)0;
        ok &= Settle(processor);
        AttentionBits bits = AttentionBits.Interrupt | (state.NonMaskablePending ? AttentionBits.NonMaskable : 0);
        bits |= (c->SystemFlags & Flags.Trap) != 0 || c->InterruptShadow ? AttentionBits.Step : 0;
        bits |= c->Halted || c->WaitingForStartUp || state.StandsStill ? AttentionBits.Halt : 0;
        Interlocked.Or(ref c->Attention, (int)bits);
        if (!ok)
        {
            ResetState.PowerOn(c, processor);
            processor.StandsStill = false;
        }

        return ok;
    }

    /// <summary>Has a processor begin that waits for a start-up message: all but its registers and EFER stays as it is. It waits on if it cannot be in that state.</summary>
    public static void Begin(SoftwareProcessor processor, ProcessorState state)
    {
        ProcessorContext* c = processor.Context;
        if (!state.IsPossible(processor.ReservedAddressBits) || (state.Cr4 & ~ControlRegisterHandlers.AllowedCr4(processor.Features)) != 0)
        {
            return;
        }

        RestoreRegisters(c, state);
        if (!Settle(processor))
        {
            ResetState.Init(c, processor);
            return;
        }

        c->WaitingForStartUp = false;
        Interlocked.Or(ref c->Attention, (int)(AttentionBits.Interrupt | ((c->SystemFlags & Flags.Trap) != 0 ? AttentionBits.Step : 0)));
    }

    // What follows from the registers.
    private static bool Settle(SoftwareProcessor processor)
    {
        ProcessorContext* c = processor.Context;
        bool paePaging = (c->Cr0 & (1UL << 31)) != 0 && (c->Cr4 & 0x20) != 0 && (c->Efer & 0x400) == 0;
        bool valid = !paePaging || processor.LoadPageDirectoryPointers(c->Cr3);
        MemoryUnit.FlushTlb(c);
        DebugUnit.Update(c);
        return valid;
    }

    private static void RestoreRegisters(ProcessorContext* c, ProcessorState state)
    {
        for (int n = 0; n < 16; n++)
        {
            c->Registers[n] = state.GeneralRegisters[n];
        }

        // EFER first: it decides how the control registers are read. LMA is not writable by WRMSR.
        c->Efer = 0;
        foreach (MsrValue msr in state.Msrs)
        {
            if (msr.Index == Msr.Efer)
            {
                c->Efer = msr.Value & 0xd01;
            }
        }

        c->Cr0 = state.Cr0 | 0x10;
        c->Cr2 = state.Cr2;
        c->Cr3 = state.Cr3;
        c->Cr4 = state.Cr4;
        c->Xcr0 = state.Xcr0 | 1;
        for (int n = 0; n < 6; n++)
        {
            c->Segments[n] = FromState(state.Segments[n]);
        }

        c->LocalDescriptorTable = FromState(state.LocalDescriptorTable);
        c->TaskRegister = FromState(state.TaskRegister);
        c->GdtBase = state.GdtBase;
        c->GdtLimit = state.GdtLimit;
        c->IdtBase = state.IdtBase;
        c->IdtLimit = state.IdtLimit;
        c->Rip = state.Rip;
        c->Cpl = c->Segments[SegmentRegister.Ss].Dpl;
        Flags.SetStatus(c, (uint)state.Rflags);
        c->SystemFlags = ((uint)state.Rflags & Flags.System) | Flags.Reserved1;
        for (int n = 0; n < 4; n++)
        {
            c->DebugAddress[n] = state.DebugRegisters[n];
        }

        c->Dr6 = state.DebugRegisters[4] | DebugUnit.Dr6Fixed;
        c->Dr7 = (uint)state.DebugRegisters[5] | 0x400;
    }

    private static void SaveVectors(ProcessorContext* c, Span<byte> area)
    {
        area.Clear();
        new Span<byte>(c->X87Image, XmmOffset).CopyTo(area);
        BitConverter.TryWriteBytes(area[MxcsrOffset..], c->Mxcsr);
        BitConverter.TryWriteBytes(area[(MxcsrOffset + 4)..], 0xffffu);
        for (int n = 0; n < 16; n++)
        {
            new Span<byte>(c->Vectors + (32 * n), 16).CopyTo(area[(XmmOffset + (16 * n))..]);
            new Span<byte>(c->Vectors + (32 * n) + 16, 16).CopyTo(area[(YmmOffset + (16 * n))..]);
        }

        BitConverter.TryWriteBytes(area[HeaderOffset..], c->Xcr0);
    }

    private static void RestoreVectors(ProcessorContext* c, Span<byte> area)
    {
        area[..XmmOffset].CopyTo(new Span<byte>(c->X87Image, XmmOffset));
        c->Mxcsr = BitConverter.ToUInt32(area[MxcsrOffset..]);
        *(uint*)(c->X87Image + MxcsrOffset) = 0x1f80;
        for (int n = 0; n < 16; n++)
        {
            area.Slice(XmmOffset + (16 * n), 16).CopyTo(new Span<byte>(c->Vectors + (32 * n), 16));
            area.Slice(YmmOffset + (16 * n), 16).CopyTo(new Span<byte>(c->Vectors + (32 * n) + 16, 16));
        }
    }

    private static SegmentState ToState(in SegmentCache s) => new(s.Selector, s.Base, s.Limit, s.Attributes);

    private static SegmentCache FromState(in SegmentState s)
    {
        return new SegmentCache { Selector = s.Selector, Base = s.Base, Limit = s.Limit, Attributes = s.Attributes & 0x1_f0ff };
    }
}
