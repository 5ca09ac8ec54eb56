using System.Text;
using Lamina.Machine.Processors;

namespace Lamina.Conformance.Processors;

/// <summary>Tells two architectural states apart.</summary>
internal static class StateComparison
{
    private const uint TimeStampCounter = 0x10;
    private const int PointersOffset = 6;
    private const int PointersEnd = 24;
    private static readonly string[] Registers = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];
    private static readonly string[] SegmentNames = ["es", "cs", "ss", "ds", "fs", "gs"];

    /// <summary>What differs, or an empty text. Time, and the addresses of the last x87 instruction, do not count.</summary>
    public static string Describe(ProcessorState expected, ProcessorState actual, ulong undefinedFlags = 0)
    {
        StringBuilder text = new();
        for (int n = 0; n < 16; n++)
        {
            Compare(text, Registers[n], expected.GeneralRegisters[n], actual.GeneralRegisters[n]);
        }

        Compare(text, "rip", expected.Rip, actual.Rip);
        Compare(text, "rflags", expected.Rflags & ~undefinedFlags, actual.Rflags & ~undefinedFlags);
        for (int n = 0; n < 6; n++)
        {
            CompareSegment(text, SegmentNames[n], expected.Segments[n], actual.Segments[n]);
        }

        CompareSegment(text, "ldtr", expected.LocalDescriptorTable, actual.LocalDescriptorTable);
        CompareSegment(text, "tr", expected.TaskRegister, actual.TaskRegister);
        Compare(text, "gdt base", expected.GdtBase, actual.GdtBase);
        Compare(text, "gdt limit", expected.GdtLimit, actual.GdtLimit);
        Compare(text, "idt base", expected.IdtBase, actual.IdtBase);
        Compare(text, "idt limit", expected.IdtLimit, actual.IdtLimit);
        Compare(text, "cr0", expected.Cr0, actual.Cr0);
        Compare(text, "cr2", expected.Cr2, actual.Cr2);
        Compare(text, "cr3", expected.Cr3, actual.Cr3);
        Compare(text, "cr4", expected.Cr4, actual.Cr4);
        Compare(text, "cr8", expected.Cr8, actual.Cr8);
        Compare(text, "xcr0", expected.Xcr0, actual.Xcr0);
        for (int n = 0; n < 6; n++)
        {
            Compare(text, $"dr{(n < 4 ? n : n + 2)}", expected.DebugRegisters[n], actual.DebugRegisters[n]);
        }

        for (int n = 0; n < ProcessorState.XsaveAreaSize; n++)
        {
            if ((n < PointersOffset || n >= PointersEnd) && expected.XsaveArea[n] != actual.XsaveArea[n])
            {
                text.Append($"xsave area at {n}: {expected.XsaveArea[n]:x} {actual.XsaveArea[n]:x}; ");
                break;
            }
        }

        Compare(text, "halted", expected.Halted ? 1UL : 0, actual.Halted ? 1UL : 0);
        Compare(text, "waiting", expected.WaitingForStartUp ? 1UL : 0, actual.WaitingForStartUp ? 1UL : 0);
        Compare(text, "shadow", expected.InterruptShadow ? 1UL : 0, actual.InterruptShadow ? 1UL : 0);
        Compare(text, "nmi pending", expected.NonMaskablePending ? 1UL : 0, actual.NonMaskablePending ? 1UL : 0);
        Compare(text, "stands still", expected.StandsStill ? 1UL : 0, actual.StandsStill ? 1UL : 0);
        Compare(text, "nmi blocked", expected.NonMaskableBlocked ? 1UL : 0, actual.NonMaskableBlocked ? 1UL : 0);
        Dictionary<uint, ulong> msrs = actual.Msrs.ToDictionary(m => m.Index, m => m.Value);
        foreach (MsrValue msr in expected.Msrs)
        {
            if (msr.Index != TimeStampCounter && msrs.TryGetValue(msr.Index, out ulong value))
            {
                Compare(text, $"msr {msr.Index:x}", msr.Value, value);
            }
        }

        return text.ToString();
    }

    private static void Compare(StringBuilder text, string name, ulong expected, ulong actual)
    {
        if (expected != actual)
        {
            text.Append($"{name}: {expected:x} {actual:x}; ");
        }
    }

    // Of a segment that is not loaded only the selector and the base can be seen. Whether it was accessed is for hardware to say.
    private static void CompareSegment(StringBuilder text, string name, in SegmentState expected, in SegmentState actual)
    {
        const uint Unusable = 0x1_0000;
        const uint Accessed = 1;
        bool loaded = ((expected.Attributes | actual.Attributes) & Unusable) == 0;
        bool same = expected.Selector == actual.Selector && expected.Base == actual.Base
            && (!loaded || (expected.Limit == actual.Limit && ((expected.Attributes ^ actual.Attributes) & ~Accessed) == 0));
        if (!same)
        {
            text.Append($"{name}: {expected} {actual}; ");
        }
    }
}
