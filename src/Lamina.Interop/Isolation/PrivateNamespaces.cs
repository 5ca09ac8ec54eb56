using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Lamina.Interop.Isolation;

/// <summary>
/// Namespaces of a process's own (namespaces(7)): a file system that has nothing but what is named, no shared memory or messages of others, and, for
/// those that may make sockets, a network without interfaces. They are made by
/// a thread that ends, beside whatever else the process does, and entered by <see cref="AllThreads"/>. Needs CAP_SYS_ADMIN: a process with threads cannot have a user namespace, by which others make theirs.
/// </summary>
public sealed unsafe partial class PrivateNamespaces : IDisposable
{
    internal const ulong Mounts = 0x20000;
    internal const ulong Messages = 0x8000000;
    internal const ulong Networks = 0x40000000;
    private const int CloseOnExec = 0x80000;
    private const int CurrentDirectory = -100;
    private const nint CloneTree = 1;
    private const nint EmptyPath = 0x1000;
    private const nint Recursive = 0x8000;
    private const nint MoveEmptyPath = 4;
    private const nint RecursivelyPrivate = 0x4000 | 0x40000;
    private const nint NothingSpecial = 2 | 4 | 8;
    private const nint ReadOnly = 1;
    private const nint Remount = 32;
    private const nint Bind = 4096;
    private const nint Detach = 2;
    private const int AttributesLength = 32;
    private const ulong ReadOnlyAttribute = 1;
    private const ulong NoSetUserAttribute = 2;
    private const int StackSize = 256 << 10;

    // Where the new root is put together, unseen by others.
    private static readonly string[] Places = ["/tmp", "/run", "/mnt", "/var"];

    private PrivateNamespaces(int mounts, int networks, int messages)
    {
        MountsDescriptor = mounts;
        NetworksDescriptor = networks;
        MessagesDescriptor = messages;
    }

    internal int MountsDescriptor { get; private set; }

    internal int NetworksDescriptor { get; private set; }

    internal int MessagesDescriptor { get; private set; }

    /// <summary>Makes them. Takes about a millisecond, and with a network two; may be called on any thread.</summary>
    /// <param name="paths">What is seen in them, under its own path. What is not there is left out.</param>
    /// <param name="network">Whether one of them is a network.</param>
    /// <param name="error">Why there are none, as an errno value: EPERM without the privilege.</param>
    public static PrivateNamespaces? TryCreate(IReadOnlyCollection<VisiblePath> paths, bool network, out int error)
    {
        PrivateNamespaces? made = null;
        int problem = 0;

        // It stays behind in a file system that nobody else is in, so it must be a thread of its own.
        Thread maker = new(() => made = Make(paths, network, out problem), StackSize) { IsBackground = true, Name = "namespaces" };
        maker.Start();
        maker.Join();
        error = problem;
        return made;
    }

    /// <summary>Closes the descriptors. Whoever is in the namespaces stays there.</summary>
    public void Dispose()
    {
        foreach (int descriptor in (ReadOnlySpan<int>)[MountsDescriptor, NetworksDescriptor, MessagesDescriptor])
        {
            if (descriptor >= 0)
            {
                _ = NativeMethods.Close(descriptor);
            }
        }

        (MountsDescriptor, NetworksDescriptor, MessagesDescriptor) = (-1, -1, -1);
    }

    private static PrivateNamespaces? Make(IReadOnlyCollection<VisiblePath> paths, bool network, out int error)
    {
        List<(string Path, int Tree)> trees = [];
        try
        {
            string? place = Array.Find(Places, Directory.Exists);
            if (place == null)
            {
                error = ErrorNumber.NoEntry;
                return null;
            }

            error = Do(Call((nint)SystemCall.Unshare, (nint)(Mounts | Messages | (network ? Networks : 0)), 0, 0));
            if (error == 0)
            {
                error = Mount(null, "/", null, RecursivelyPrivate, null);
            }

            if (error == 0)
            {
                Collect(paths, trees);
                error = Mount("lamina", place, "tmpfs", NothingSpecial, "mode=755,size=256k,nr_inodes=1024");
            }

            error = error != 0 ? error : Assemble(place, trees);
            return error == 0 ? Open(network, out error) : null;
        }
        finally
        {
            trees.ForEach(static t => _ = NativeMethods.Close(t.Tree));
        }
    }

    // Copies of the mounts, taken before anything covers them. Below one that is there already nothing is needed, unless it can be changed there alone.
    private static void Collect(IReadOnlyCollection<VisiblePath> paths, List<(string Path, int Tree)> trees)
    {
        List<VisiblePath> taken = [];
        foreach (VisiblePath wanted in paths.OrderBy(static p => p.Path.Length))
        {
            string path = Path.TrimEndingDirectorySeparator(wanted.Path);
            if (taken.Exists(t => (path == t.Path || path.StartsWith(t.Path + "/", StringComparison.Ordinal)) && (wanted.IsReadOnly || !t.IsReadOnly)))
            {
                continue;
            }

            int tree = (int)OpenTree((nint)SystemCall.OpenTree, CurrentDirectory, path, CloneTree | CloseOnExec | Recursive);
            if (tree < 0)
            {
                continue;
            }

            SetAttributes(tree, NoSetUserAttribute | (wanted.IsReadOnly ? ReadOnlyAttribute : 0));
            taken.Add(wanted with { Path = path });
            trees.Add((path, tree));
        }
    }

    // A kernel before 5.12 cannot; who may change what is said by other means as well.
    private static void SetAttributes(int tree, ulong attributes)
    {
        Span<byte> structure = stackalloc byte[AttributesLength];
        structure.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(structure, attributes);
        fixed (byte* p = structure)
        {
            // SAFETY: struct mount_attr, of the length that is said.
            _ = SetMount((nint)SystemCall.MountSetattr, tree, "", EmptyPath | Recursive, p, AttributesLength);
        }
    }

    private static int Assemble(string place, List<(string Path, int Tree)> trees)
    {
        foreach ((string path, int tree) in trees)
        {
            string target = place + path;
            if (!Path.Exists(target))
            {
                // What it is can be seen by its copy alone: the path may be covered.
                if (Directory.Exists($"/proc/self/fd/{tree}/."))
                {
                    Directory.CreateDirectory(target);
                }
                else
                {
                    Directory.CreateDirectory(Path.GetDirectoryName(target)!);
                    File.Create(target).Dispose();
                }
            }

            int moved = Do(MoveMount((nint)SystemCall.MoveMount, tree, "", CurrentDirectory, target, MoveEmptyPath));
            if (moved != 0)
            {
                return moved;
            }
        }

        int error = Do(CallPath((nint)SystemCall.Chdir, place, null, 0));
        error = error != 0 ? error : Do(CallPath((nint)SystemCall.PivotRoot, ".", ".", 0));

        // The old root lies on the new one now.
        error = error != 0 ? error : Do(Unmount((nint)SystemCall.Umount2, ".", Detach));
        return error != 0 ? error : Mount(null, "/", null, Remount | Bind | ReadOnly | NothingSpecial, null);
    }

    private static PrivateNamespaces? Open(bool network, out int error)
    {
        error = 0;
        PrivateNamespaces made = new(Open("mnt", ref error), network ? Open("net", ref error) : -1, Open("ipc", ref error));
        if (error == 0)
        {
            return made;
        }

        made.Dispose();
        return null;
    }

    private static int Open(string name, ref int error)
    {
        int descriptor = NativeMethods.Open($"/proc/thread-self/ns/{name}", CloseOnExec);
        error = descriptor < 0 ? Marshal.GetLastPInvokeError() : error;
        return descriptor;
    }

    private static int Do(nint result) => result < 0 ? Marshal.GetLastPInvokeError() : 0;

    private static int Mount(string? source, string target, string? type, nint flags, string? data) => Do(MountAt((nint)SystemCall.Mount, source, target, type, flags, data));

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint Call(nint number, nint first, nint second, nint third);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint CallPath(nint number, string first, string? second, nint third);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint Unmount(nint number, string target, nint flags);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint MountAt(nint number, string? source, string target, string? type, nint flags, string? data);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint OpenTree(nint number, nint directory, string path, nint flags);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint MoveMount(nint number, nint from, string fromPath, nint to, string toPath, nint flags);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint SetMount(nint number, nint directory, string path, nint flags, byte* attributes, nint length);
}
