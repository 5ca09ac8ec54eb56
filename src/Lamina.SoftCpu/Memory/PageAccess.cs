namespace Lamina.SoftCpu.Memory;

/// <summary>What an access wants of a page.</summary>
internal enum PageAccess
{
    Read,
    Write,
    Execute,
}
