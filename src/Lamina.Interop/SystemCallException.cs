using System.Runtime.InteropServices;

namespace Lamina.Interop;

/// <summary>The host refused a system call.</summary>
public sealed class SystemCallException : Exception
{
    /// <summary>Describes the failure of <paramref name="call"/> with <paramref name="errorNumber"/>.</summary>
    public SystemCallException(string call, int errorNumber)
        : base($"{call}: {Marshal.GetPInvokeErrorMessage(errorNumber)} (errno {errorNumber})")
    {
        Call = call;
        ErrorNumber = errorNumber;
    }

    /// <summary>The call's name ("mmap").</summary>
    public string Call { get; }

    /// <summary>The errno value.</summary>
    public int ErrorNumber { get; }

    /// <summary>What the host says, without the call's name.</summary>
    public string Reason => Marshal.GetPInvokeErrorMessage(ErrorNumber);

    /// <summary>Throws for the last call that this thread made.</summary>
    internal static SystemCallException FromLastError(string call) => new(call, Marshal.GetLastPInvokeError());
}
