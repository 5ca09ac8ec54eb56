using Lamina.Interop;
using Lamina.Interop.Files;

namespace Lamina.Storage;

/// <summary>Opens the files of a disk image: itself, and those that it rests on.</summary>
public interface IImageFiles
{
    /// <summary>Opens one.</summary>
    /// <param name="path">Its name.</param>
    /// <param name="writable">Whether it is to be written.</param>
    /// <param name="direct">Past the host's cache.</param>
    /// <exception cref="SystemCallException">It cannot be had.</exception>
    BlockFile Open(string path, bool writable, bool direct);
}
