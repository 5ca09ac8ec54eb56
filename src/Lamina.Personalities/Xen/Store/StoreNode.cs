namespace Lamina.Personalities.Xen.Store;

/// <summary>A node of the tree. Links are numbers of nodes, content numbers of pieces; -1 is none.</summary>
internal struct StoreNode
{
    public int Parent;
    public int FirstChild;
    public int Next;
    public int Name;
    public int Value;
    public ushort NameLength;
    public ushort ValueLength;
    public StorePermissions Permissions;
}
