namespace Lamina.SoftCpu.Fpu;

/// <summary>What MMX instructions do to the x87 state that they share (Intel SDM volume 1, section 9.5).</summary>
internal static unsafe class MmxState
{
    /// <summary>Before: the top of the stack becomes 0 and all registers valid.</summary>
    public static void Enter(ProcessorContext* c)
    {
        X87Image.SetTop(c, 0);
        X87Image.AbridgedTags(c) = 0xff;
    }

    /// <summary>After: a written register (by its offset in the context, or 0) gets an exponent of all ones.</summary>
    public static void Leave(ProcessorContext* c, int destination)
    {
        if (destination != 0)
        {
            *(ushort*)((byte*)c + destination + 8) = 0xffff;
        }
    }
}
