using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;

namespace Lamina.Personalities.Tests.Fakes;

/// <summary>A processor that executes a hypercall and shows all of its registers.</summary>
internal sealed class KnownCaller : ICallingProcessor, ICallingRegisters
{
    /// <summary>What it shows.</summary>
    public ProcessorState State { get; } = new();

    public Dictionary<uint, ulong> Msrs { get; } = [];

    public byte[] Vectors { get; } = new byte[256];

    public void SaveCaller(ProcessorState state)
    {
        State.GeneralRegisters.CopyTo(state.GeneralRegisters, 0);
        (state.Rip, state.Rflags) = (State.Rip, State.Rflags);
        State.Segments.CopyTo(state.Segments, 0);
        (state.LocalDescriptorTable, state.TaskRegister) = (State.LocalDescriptorTable, State.TaskRegister);
        (state.GdtBase, state.GdtLimit, state.IdtBase, state.IdtLimit) = (State.GdtBase, State.GdtLimit, State.IdtBase, State.IdtLimit);
        (state.Cr0, state.Cr2, state.Cr3, state.Cr4, state.Cr8, state.Xcr0) = (State.Cr0, State.Cr2, State.Cr3, State.Cr4, State.Cr8, State.Xcr0);
        State.DebugRegisters.CopyTo(state.DebugRegisters, 0);
        State.XsaveArea.CopyTo(state.XsaveArea, 0);
    }

    public bool TryReadCallerMsr(uint index, out ulong value) => Msrs.TryGetValue(index, out value);

    public bool TryWriteCallerMsr(uint index, ulong value)
    {
        bool known = Msrs.ContainsKey(index);
        if (known)
        {
            Msrs[index] = value;
        }

        return known;
    }

    public void DropTranslations(ulong processors, bool withGlobal, ReadOnlySpan<ulong> pages)
    {
    }

    public void ReadVectors(Span<byte> destination) => Vectors.AsSpan(0, destination.Length).CopyTo(destination);

    public void WriteVectors(int offset, ReadOnlySpan<byte> source) => source.CopyTo(Vectors.AsSpan(offset));

    public void GiveWay()
    {
    }
}
