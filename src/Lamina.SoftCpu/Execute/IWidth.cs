using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu.Execute;

/// <summary>An operand width. Values travel as <see cref="ulong"/>, zero-extended; handlers are specialised for each width at compile time.</summary>
internal unsafe interface IWidth
{
    static abstract int Bytes { get; }

    static abstract int Bits { get; }

    static abstract ulong Mask { get; }

    /// <summary>Sign-extends to 64 bits.</summary>
    static abstract ulong SignExtend(ulong value);

    /// <summary>The ModRM.reg operand.</summary>
    static abstract ulong GetReg(ProcessorContext* c, Instruction* i);

    static abstract void SetReg(ProcessorContext* c, Instruction* i, ulong value);

    /// <summary>The ModRM.rm (or opcode) register operand.</summary>
    static abstract ulong GetRm(ProcessorContext* c, Instruction* i);

    static abstract void SetRm(ProcessorContext* c, Instruction* i, ulong value);

    /// <summary>A numbered register; AL to BL for bytes, never AH to BH.</summary>
    static abstract ulong Get(ProcessorContext* c, int register);

    static abstract void Set(ProcessorContext* c, int register, ulong value);

    static abstract bool Load(ProcessorContext* c, int segment, ulong offset, out ulong value);

    static abstract bool Store(ProcessorContext* c, int segment, ulong offset, ulong value);

    static abstract ulong Read(byte* p);

    static abstract void Write(byte* p, ulong value);

    /// <summary>Atomic compare-exchange on the host.</summary>
    static abstract ulong CompareExchange(byte* p, ulong value, ulong comparand);
}
