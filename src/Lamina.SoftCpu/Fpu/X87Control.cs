using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Fpu;

/// <summary>x87 control instructions, done on the image (Intel SDM volume 1, section 8.3.11).</summary>
internal static unsafe class X87Control
{
    private const int Rax = 0;

    /// <summary>FWAIT.</summary>
    public static bool Wait(ProcessorContext* c, Instruction* i)
    {
        if ((c->Gates & UnitGates.Wait) == 0)
        {
            return Fault.DeviceNotAvailable(c);
        }

        return !X87Image.IsErrorPending(c) || X87Errors.Signal(c);
    }

    /// <summary>FENI, FDISI, FSETPM.</summary>
    public static bool Nothing(ProcessorContext* c, Instruction* i) => Available(c);

    /// <summary>FNINIT.</summary>
    public static bool Initialize(ProcessorContext* c, Instruction* i)
    {
        if (!Available(c))
        {
            return false;
        }

        X87Image.Initialize(c);
        return true;
    }

    /// <summary>FNCLEX.</summary>
    public static bool ClearExceptions(ProcessorContext* c, Instruction* i)
    {
        if (!Available(c))
        {
            return false;
        }

        X87Image.ClearExceptions(c);
        return true;
    }

    /// <summary>FNSTSW AX.</summary>
    public static bool StoreStatusRegister(ProcessorContext* c, Instruction* i)
    {
        if (!Available(c))
        {
            return false;
        }

        *(ushort*)&c->Registers[Rax] = X87Image.Status(c);
        return true;
    }

    /// <summary>FNSTSW m16.</summary>
    public static bool StoreStatus(ProcessorContext* c, Instruction* i) => Available(c) && GuestAccess.Store(c, i, X87Image.Status(c));

    /// <summary>FNSTCW.</summary>
    public static bool StoreControl(ProcessorContext* c, Instruction* i) => Available(c) && GuestAccess.Store(c, i, X87Image.Control(c));

    /// <summary>FLDCW.</summary>
    public static bool LoadControl(ProcessorContext* c, Instruction* i)
    {
        if (!X87Handlers.Ready(c) || !GuestAccess.Load(c, i, out ushort control))
        {
            return false;
        }

        X87Image.SetControl(c, control);
        return true;
    }

    /// <summary>FNSTENV.</summary>
    public static bool StoreEnvironment(ProcessorContext* c, Instruction* i)
    {
        if (!Available(c))
        {
            return false;
        }

        byte* buffer = c->Scratch;
        int length = X87Environment.Write(c, buffer, Format(c, i));
        if (!GuestAccess.StoreBytes(c, i->Segment, GuestAccess.EffectiveAddress(c, i), buffer, length, i->OperandSize == 2 ? 2 : 4))
        {
            return false;
        }

        X87Image.SetControl(c, (ushort)(X87Image.Control(c) | 0x3f));
        return true;
    }

    /// <summary>FLDENV.</summary>
    public static bool LoadEnvironment(ProcessorContext* c, Instruction* i)
    {
        if (!X87Handlers.Ready(c))
        {
            return false;
        }

        EnvironmentFormat format = Format(c, i);
        byte* buffer = c->Scratch;
        if (!GuestAccess.LoadBytes(c, i->Segment, GuestAccess.EffectiveAddress(c, i), buffer, X87Environment.Length(format), i->OperandSize == 2 ? 2 : 4))
        {
            return false;
        }

        X87Environment.Read(c, buffer, format);
        return true;
    }

    /// <summary>FNSAVE.</summary>
    public static bool Save(ProcessorContext* c, Instruction* i)
    {
        if (!Available(c))
        {
            return false;
        }

        byte* buffer = c->Scratch;
        int length = X87Environment.Write(c, buffer, Format(c, i));
        for (int n = 0; n < 8; n++)
        {
            Buffer.MemoryCopy(X87Image.Register(c, n), buffer + length, 10, 10);
            length += 10;
        }

        if (!GuestAccess.StoreBytes(c, i->Segment, GuestAccess.EffectiveAddress(c, i), buffer, length, i->OperandSize == 2 ? 2 : 4))
        {
            return false;
        }

        X87Image.Initialize(c);
        return true;
    }

    /// <summary>FRSTOR.</summary>
    public static bool Restore(ProcessorContext* c, Instruction* i)
    {
        if (!X87Handlers.Ready(c))
        {
            return false;
        }

        EnvironmentFormat format = Format(c, i);
        byte* buffer = c->Scratch;
        int length = X87Environment.Length(format);
        if (!GuestAccess.LoadBytes(c, i->Segment, GuestAccess.EffectiveAddress(c, i), buffer, length + 80, i->OperandSize == 2 ? 2 : 4))
        {
            return false;
        }

        X87Environment.Read(c, buffer, format);
        for (int n = 0; n < 8; n++)
        {
            Buffer.MemoryCopy(buffer + length + (n * 10), X87Image.Register(c, n), 10, 10);
        }

        return true;
    }

    private static bool Available(ProcessorContext* c) => (c->Gates & UnitGates.X87) != 0 || Fault.DeviceNotAvailable(c);

    private static EnvironmentFormat Format(ProcessorContext* c, Instruction* i)
    {
        EnvironmentFormat format = i->OperandSize == 2 ? EnvironmentFormat.Protected16 : EnvironmentFormat.Protected32;
        return c->Protected ? format : format == EnvironmentFormat.Protected16 ? EnvironmentFormat.Real16 : EnvironmentFormat.Real32;
    }
}
