using Lamina.Interop.Memory;

namespace Lamina.SoftCpu.Emit;

/// <summary>Routines of machine code that C# has no way to say, made once a process.</summary>
internal static unsafe class NativeRoutines
{
    // The mapping lives as long as the process.
    private static readonly ExecutableMemory Code = ExecutableMemory.Map(4096);
    private static readonly delegate* unmanaged[SuppressGCTransition]<void*, ulong*, ulong*, byte> CompareExchange16Code = Write();

    /// <summary>
    /// LOCK CMPXCHG16B: if the 16 bytes at <paramref name="target"/> (aligned to 16) equal <paramref name="expected"/>, replaces them with
    /// <paramref name="replacement"/> and answers true; else stores what they are to <paramref name="expected"/>.
    /// </summary>
    public static bool CompareExchange16(void* target, ulong* expected, ulong* replacement) => CompareExchange16Code(target, expected, replacement) != 0;

    private static delegate* unmanaged[SuppressGCTransition]<void*, ulong*, ulong*, byte> Write()
    {
        // RDI target, RSI expected, RDX replacement. SAFETY: the code touches the 16 bytes of each only.
        CodeWriter w = new(new Span<byte>(Code.WritePointer, 4096));
        w.Copy(CodeWriter.R8, CodeWriter.Rdx);
        w.Bytes([0x53]); // push rbx
        w.Load(CodeWriter.Rbx, CodeWriter.R8);
        w.Load(CodeWriter.Rcx, CodeWriter.R8, 8);
        w.Load(CodeWriter.Rax, CodeWriter.Rsi);
        w.Load(CodeWriter.Rdx, CodeWriter.Rsi, 8);
        w.Bytes([0xf0, 0x48, 0x0f, 0xc7, 0x0f]); // lock cmpxchg16b [rdi]
        w.Store(CodeWriter.Rax, CodeWriter.Rsi);
        w.Store(CodeWriter.Rdx, CodeWriter.Rsi, 8);
        w.Bytes([0x0f, 0x94, 0xc0]); // sete al
        w.Bytes([0x5b]); // pop rbx
        w.Return();
        return (delegate* unmanaged[SuppressGCTransition]<void*, ulong*, ulong*, byte>)Code.ExecutePointer;
    }
}
