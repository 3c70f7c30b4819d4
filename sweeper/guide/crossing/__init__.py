"""Several studies that differ in their recipes: does the best setting of the loss move with a field of the recipe?"""
