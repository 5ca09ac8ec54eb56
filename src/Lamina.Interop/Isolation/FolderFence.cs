using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Lamina.Interop.Isolation;

/// <summary>
/// A fence around the files that a process may still open (Landlock): all paths are closed but those that were allowed. What is open stays usable. It closes TCP and abstract sockets, too,
/// where the kernel can. It is put on by <see cref="AllThreads"/>.
/// </summary>
public sealed unsafe partial class FolderFence : IDisposable
{
    private const int PathOnly = 0x200000;
    private const int CloseOnExec = 0x80000;
    private const int RulesetLength = 24;
    private const int RuleLength = 12;
    private const nint PathBeneath = 1;
    private const nint VersionQuery = 1;
    private const ulong FirstVersionRights = 0x1fff;
    private const ulong ConnectAndBind = 3;
    private const ulong AbstractSockets = 1;
    private const FolderRights RightsOfFiles = FolderRights.Execute | FolderRights.ReadFile | FolderRights.WriteFile | FolderRights.Truncate | FolderRights.ControlDevice;
    private readonly FolderRights _handled;

    private FolderFence(int descriptor, int version, FolderRights handled)
    {
        Descriptor = descriptor;
        Version = version;
        _handled = handled;
    }

    /// <summary>The version of Landlock's interface.</summary>
    public int Version { get; }

    internal int Descriptor { get; private set; }

    /// <summary>Makes one with no way through.</summary>
    /// <param name="error">Why there is none, as an errno value.</param>
    public static FolderFence? TryCreate(out int error)
    {
        int version = (int)Call((nint)SystemCall.LandlockCreateRuleset, null, 0, VersionQuery);
        if (version < 1)
        {
            error = Marshal.GetLastPInvokeError();
            return null;
        }

        ulong handled = FirstVersionRights | (version >= 2 ? (ulong)FolderRights.Refer : 0) | (version >= 3 ? (ulong)FolderRights.Truncate : 0) | (version >= 5 ? (ulong)FolderRights.ControlDevice : 0);
        Span<byte> attributes = stackalloc byte[RulesetLength];
        BinaryPrimitives.WriteUInt64LittleEndian(attributes, handled);
        BinaryPrimitives.WriteUInt64LittleEndian(attributes[8..], version >= 4 ? ConnectAndBind : 0);
        BinaryPrimitives.WriteUInt64LittleEndian(attributes[16..], version >= 6 ? AbstractSockets : 0);
        fixed (byte* p = attributes)
        {
            // SAFETY: struct landlock_ruleset_attr, of the length that the version knows.
            int descriptor = (int)Call((nint)SystemCall.LandlockCreateRuleset, p, version >= 6 ? RulesetLength : version >= 4 ? 16 : 8, 0);
            error = descriptor < 0 ? Marshal.GetLastPInvokeError() : 0;
            return descriptor < 0 ? null : new FolderFence(descriptor, version, (FolderRights)handled);
        }
    }

    /// <summary>Lets something through: a file, or a directory and all below.</summary>
    /// <param name="path">The path. One that is not there is no error.</param>
    /// <param name="rights">What may be done there.</param>
    /// <returns>Whether it was there.</returns>
    public bool Allow(string path, FolderRights rights)
    {
        int place = NativeMethods.Open(path, PathOnly | CloseOnExec);
        if (place < 0)
        {
            return false;
        }

        bool done = AddRule(place, rights & _handled) || AddRule(place, rights & _handled & RightsOfFiles);
        _ = NativeMethods.Close(place);
        return done;
    }

    /// <summary>Closes the descriptor; fences that are on stay on.</summary>
    public void Dispose()
    {
        if (Descriptor >= 0)
        {
            _ = NativeMethods.Close(Descriptor);
            Descriptor = -1;
        }
    }

    private bool AddRule(int place, FolderRights rights)
    {
        Span<byte> rule = stackalloc byte[RuleLength];
        BinaryPrimitives.WriteUInt64LittleEndian(rule, (ulong)rights);
        BinaryPrimitives.WriteInt32LittleEndian(rule[8..], place);
        fixed (byte* p = rule)
        {
            // SAFETY: struct landlock_path_beneath_attr, which is packed.
            return AddRule((nint)SystemCall.LandlockAddRule, Descriptor, PathBeneath, p, 0) == 0;
        }
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint Call(nint number, byte* attributes, nint length, nint flags);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint AddRule(nint number, nint ruleset, nint type, byte* rule, nint flags);
}
